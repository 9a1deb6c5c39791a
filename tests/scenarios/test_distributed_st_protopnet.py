"""ST-ProtoPNet on two ranks against one process with the whole batch."""
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from ranks import run_ranks

from csd_mmpretrain.methods.st_protopnet.prototype_hook import RECORD
from csd_mmpretrain.methods.st_protopnet.push import (
    find_patches,
    write_prototypes,
)

STEPS, CLASSES = 5, 3
SIZES = (3, 2)


def build():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(
            type='ImageClassifier',
            backbone=dict(
                type='SwinTransformer',
                img_size=64,
                arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
                window_size=4,
                drop_path_rate=0.,
                out_indices=(1, )),
            head=dict(
                type='STProtoPNetHead', num_classes=CLASSES, in_channels=16,
                num_prototypes=2, channels=8)))
    return model.double().train()


def images_of(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 64, 64, generator=generator).double()


def samples_of(numbers):
    return [DataSample(metainfo=dict(sample_idx=i)).set_gt_label(i % CLASSES)
            for i in numbers]


def parts(total, sizes, rank):
    """The numbers of the images that a rank gets, or one process."""
    numbers = torch.arange(total)
    return (numbers if rank is None else numbers.split(sizes)[rank]).tolist()


def train(rank=None):
    """Train, and push: 7 photos, which the ranks share unevenly."""
    torch.set_default_dtype(torch.float64)
    model = build()
    wrapped = model if rank is None else MMDistributedDataParallel(
        module=model, broadcast_buffers=False, find_unused_parameters=True)
    wrapper = build_optim_wrapper(
        wrapped, dict(optimizer=dict(type='SGD', lr=.5, weight_decay=.1)))
    wrapper.optimizer.register_step_post_hook(
        lambda *_: model.head.finish_step())
    for step in range(STEPS):
        sizes = SIZES if step % 2 else SIZES[::-1]
        numbers = parts(sum(SIZES), sizes, rank)
        losses = wrapped(images_of(sum(SIZES), step)[numbers],
                         samples_of(numbers), mode='loss')
        wrapper.update_params(
            sum(v for k, v in losses.items() if 'loss' in k))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    photos, labels = images_of(7, 99), [i % CLASSES for i in range(7)]
    numbers = parts(7, (4, 3), rank)
    # As a sampler that rounds up: one photo comes twice.
    numbers += [0] * (rank == 1)
    model.data_preprocessor = torch.nn.Identity()
    patches = find_patches(model, [
        dict(inputs=photos[chosen], data_samples=samples_of(chosen))
        for chosen in (numbers[:2], numbers[2:])], labels)
    write_prototypes(model, patches)
    return dict(trained=before, pushed=model.state_dict(), patches={
        name: found._asdict() for name, found in patches.items()})


def test_two_ranks_train_and_push_what_one_process_does(tmp_path,
                                                        record_property):
    *ranks, one = run_ranks(train, tmp_path, world=len(SIZES), alone=True)
    largest = 0.
    for found in ranks:
        for key in ('trained', 'pushed'):
            assert found[key].keys() == one[key].keys()
            for name, value in one[key].items():
                difference = (found[key][name] - value).abs().max()
                largest = max(largest, float(difference))
        for name, patches in one['patches'].items():
            for key in ('image', 'position'):
                assert torch.equal(found['patches'][name][key],
                                   patches[key])
    record_property('measured', f'{len(SIZES)} ranks, ST-ProtoPNet: weights '
                    f'and pushed prototypes {largest:.1e}')
    assert largest < 1e-12
    first = build().state_dict()
    assert one['trained']['head.steps'] == STEPS
    for name in ('backbone.patch_embed.projection.weight',
                 'head.trivial.prototypes', 'head.support.prototypes'):
        assert not torch.equal(first[name], one['trained'][name]), name


CONFIG = """
_base_ = {base!r}
model = dict(
    neck=None,
    head=dict(
        _delete_=True, type='STProtoPNetHead', num_classes=6,
        in_channels=1280, num_prototypes=2, channels=8))
default_hooks = dict(
    ssdp=None,
    checkpoint=dict(save_best=None),
    prototypes=dict(type='PrototypeHook', warm_epochs=1, push_epochs=(2, ),
                    tune_epochs=1))
custom_imports = dict(imports=['csd_mmpretrain', 'leave_weights'])
custom_hooks = [dict(type='LeaveWeightsHook')]
find_unused_parameters = True
param_scheduler = []
train_cfg = dict(max_epochs=3)
train_dataloader = dict(batch_size=3)
val_evaluator = [
    dict(type='Accuracy', topk=(1, 2)), dict(type='BranchAccuracy')]
"""


def test_two_processes_of_the_tool(run_script, tiny_config, leaving,
                                   tmp_path):
    """They hold one model after all stages."""
    config, path = leaving
    config = tmp_path / 'prototypes.py'
    config.write_text(CONFIG.format(base=str(tiny_config)))
    work_dir = tmp_path / 'work'
    log = run_script('dist_train.sh', config, 2, '--work-dir', work_dir,
                     PYTHONPATH=path)
    assert 'Stage of epoch 3: last layer' in log
    assert '| 2 | after push |' in log and '| 3 | after tuning |' in log
    first, second = (torch.load(work_dir / f'rank{rank}.pth')
                     for rank in range(2))
    for key in first:
        if 'running_' not in key:
            assert torch.equal(first[key], second[key]), key
    content = torch.load(work_dir / 'epoch_3.pth')
    sources = content['meta'][RECORD]['sources']
    for source in sources.values():
        for j, file in enumerate(source['file']):
            assert file.startswith(f'class{j // 2}')
