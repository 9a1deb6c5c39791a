"""The report: whole, self-contained, and its sums are right."""
import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from explanations import make_explanation, make_patch
from PIL import Image

from csd_mmpretrain.visualization.explanation_figure import prototype_page
from csd_mmpretrain.visualization.explanation_report import write_report

VOID = {'meta', 'img', 'br', 'link'}


class Page(HTMLParser):
    """Elements with their attributes, tables as texts; tags must match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.tables, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ('td', 'th'):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] != 'style':
            self.words.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope='module')
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp('report') / 'new' / 'report.html'
    page = prototype_page('p', [make_patch()], ['best'])
    write_report(
        str(path), 'Apples & <pears>',
        [make_explanation(3), make_explanation(5, 1, true_class='')],
        tables=[('Push <b>', ('stage', 'top-1', 'distinct'),
                 [('before & after', 0.75125, np.int64(239)),
                  ('tuned', np.float32(0.5), 3)])],
        pages=[('Class <em>', page)],
        cams=[np.ones((30, 40))] * 2)
    return path.read_text(encoding='utf-8')


def test_it_needs_nothing_from_elsewhere(text):
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {'script', 'link', 'iframe', 'object', 'embed', 'base'}
    for tag, attrs in page.elements:
        assert not any(name.startswith('on') for name in attrs)
        for name in ('src', 'href', 'srcset', 'data', 'action', 'poster'):
            value = attrs.get(name, '#')
            assert value.startswith(('#', 'data:image/png;base64,')), tag
    style = text[text.index('<style>'):text.index('</style>')]
    assert 'url(' not in style and '@import' not in style
    assert '://' not in text.split('<body>')[0]


def test_pictures_are_whole_and_told_in_words(text):
    pictures = Page(text).named('img')
    assert len(pictures) == 3
    for picture in pictures:
        data = base64.b64decode(picture['src'].partition(',')[2])
        image = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
        assert min(image.shape[:2]) > 200 and image.std() > 5
        assert picture['alt']
    assert '<i>Pear $5' in pictures[0]['alt']
    assert 'channel 0 +2.000 points' in pictures[0]['alt']
    assert pictures[2]['alt'] == 'Class <em>'


def test_names_are_escaped_and_links_lead_somewhere(text):
    page = Page(text)
    assert not {'i', 'b', 'em', 'pears'} & {tag for tag, _ in page.elements}
    assert {'Apples & <pears>', 'Class <em>', 'Push <b>'} <= set(page.words)
    assert 'a <b>.jpg: <i>Pear $5 (87.3%)' in page.words
    targets = [attrs['id'] for _, attrs in page.elements if 'id' in attrs]
    assert [attrs['href'] for attrs in page.named('a')] == [
        f'#{target}' for target in targets]
    assert len(set(targets)) == 4


def test_the_points_and_the_rest_make_the_logit(text):
    *found, last = Page(text).tables
    assert last == [['stage', 'top-1', 'distinct'],
                     ['before & after', '0.751', '239'],
                     ['tuned', '0.500', '3']]
    assert len(found) == 2
    for table, count in zip(found, (3, 5)):
        reasons, (total, rest, logit) = table[1:-3], table[-3:]
        assert len(reasons) == count
        for _, _, _, similarity, weight, points in reasons:
            assert float(similarity) * float(weight) == float(points)
        assert sum(float(row[-1]) for row in reasons) == float(total[-1])
        assert float(total[-1]) + float(rest[-1]) == float(logit[-1])
    assert found[0][1][1] == 'x 8 to 24, y 5 to 15'
    assert '0_1.jpg (kind 0), x 8 to 24' in found[0][1][2]


def test_an_explanation_without_reasons_leaves_no_file(tmp_path):
    path = tmp_path / 'report.html'
    with pytest.raises(ValueError, match='no reason'):
        write_report(str(path), 'Apples', [make_explanation(0)])
    assert not path.exists()
