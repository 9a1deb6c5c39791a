import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from csd_mmpretrain.visualization.figure_pages import save_pages


@pytest.mark.parametrize('count, pages', [(1, [1]), (12, [12]), (13, [6, 7]),
                                          (25, [8, 8, 9])])
def test_pages_are_filled_evenly(count, pages, tmp_path):
    drawn = []

    def draw(rows):
        drawn.append(list(rows))
        return Figure(figsize=(1, len(rows)))

    out = tmp_path / 'new' / 'rows.png'
    files = save_pages(draw, range(count), 12, str(out), dpi=10)
    assert [len(rows) for rows in drawn] == pages
    assert np.concatenate(drawn).tolist() == list(range(count))
    assert [Image.open(file).size[1] // 10 for file in files] == pages
    names = ['rows.png'] if len(pages) == 1 else [
        f'rows_{i + 1}.png' for i in range(len(pages))]
    assert sorted(path.name for path in out.parent.iterdir()) == names


def test_a_pdf_has_several_pages(tmp_path):
    out = tmp_path / 'rows.pdf'
    save_pages(lambda rows: Figure(), range(5), 2, str(out))
    assert out.read_bytes().count(b'/Type /Page ') == 3
    assert list(tmp_path.iterdir()) == [out]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match='rows.gif.*png or .pdf'):
        save_pages(lambda rows: Figure(), [1], 1, str(tmp_path / 'rows.gif'))


def test_no_rows_are_refused(tmp_path):
    out = tmp_path / 'new' / 'rows.pdf'
    with pytest.raises(ValueError, match='rows.pdf.*no row to draw'):
        save_pages(lambda rows: Figure(), [], 1, str(out))
    assert not out.parent.exists()
