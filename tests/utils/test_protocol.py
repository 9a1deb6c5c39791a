"""What parts of a run tell, and what a plain classifier does not."""
from types import SimpleNamespace

import pytest
from mmpretrain.registry import MODELS
from torch import nn

import csd_mmpretrain  # noqa: F401
from csd_mmpretrain.utils.protocol import (
    describe,
    inference_model,
    plain_settings,
    pooled_map,
    takes_map,
    training_only_keys,
    views_per_image,
)

LINEAR = dict(type='LinearClsHead', num_classes=3, in_channels=4)


def test_a_plain_classifier_tells_nothing():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='LeNet5'),
            neck=dict(type='GlobalAveragePooling'),
            head=LINEAR))
    assert training_only_keys(model) == ()
    assert inference_model(model) is model
    assert inference_model(model.head) is model.head
    assert describe(model.head) == {}
    assert views_per_image(model) == 1
    assert pooled_map(model.neck, (1, 2)) == 2
    assert plain_settings(LINEAR) is LINEAR
    assert not takes_map(LINEAR)
    assert plain_settings(dict(type=nn.Identity)) == dict(type=nn.Identity)


def test_keys_have_the_names_of_their_modules():
    head = nn.Module()
    head.training_only_keys = ('queue.', 'loss.')
    model = nn.Module()
    model.head, model.training_only_keys = head, ('student.', )
    assert training_only_keys(model) == ('student.', 'head.queue.',
                                         'head.loss.')
    assert training_only_keys(head) == ('queue.', 'loss.')


def test_what_parts_tell_is_taken_over():
    inner = nn.Identity()
    head = nn.Module()
    head.inference_model = lambda: inner
    assert inference_model(head) is inner
    part = SimpleNamespace(describe=lambda: dict(a='b'), views_per_image=1.25)
    assert describe(part) == dict(a='b')
    assert views_per_image(part) == 1.25
    assert pooled_map(SimpleNamespace(pooled_map=sum), (1, 2)) == 3


@pytest.mark.parametrize('scope', ['', 'mmpretrain.'])
@pytest.mark.parametrize('settings, expected', [
    (dict(type='CSDHead', cls_head=LINEAR), LINEAR),
    (dict(type='SSDPNeck', in_channels=4), dict(type='GlobalAveragePooling')),
    (dict(type='SSDPNeck', in_channels=4, layout='nhwc', kernel='conv'),
     dict(type='SSDPNeck', in_channels=4, layout='nhwc', kernel='gap',
          gating='none')),
])
def test_settings_of_the_plain_part(scope, settings, expected):
    settings = dict(settings, type=scope + settings['type'])
    found = plain_settings(settings)
    found = dict(found, type=found['type'].split('.')[-1])
    assert found == expected
