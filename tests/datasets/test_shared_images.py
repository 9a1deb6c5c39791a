"""Files of the same content are found, whatever their names and sizes."""
import numpy as np

from csd_mmpretrain.datasets.shared_images import shared_images


def test_equals_a_comparison_of_all_pairs(tmp_path):
    """Also of files that differ only in their middle."""
    contents = []
    for i in range(40):
        size = np.random.choice([0, 1, 10, 5000, 9000])
        content = bytearray(size)
        if size and i % 3:
            content[np.random.choice([0, size // 2, size - 1])] = i % 3
        contents.append(bytes(content))
    paths = [tmp_path / str(i) for i in range(40)]
    for path, content in zip(paths, contents):
        path.write_bytes(content)
    expected = [str(path) for path, content in zip(paths[:20], contents)
                if content and content in contents[20:]]
    assert 0 < len(expected) < 20
    names = [*map(str, paths)]
    assert shared_images([*names[:20], 'gone'], names[20:]) == expected
    assert shared_images(names[:20], ['gone']) == []
