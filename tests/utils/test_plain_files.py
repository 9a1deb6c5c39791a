"""Files of plain values, and of what only looks like them."""
import io
import os
import pickle

import mmengine
import numpy as np
import pytest
import torch

from csd_mmpretrain.utils.plain_files import load_plain

VALUES = dict(score=81.5, names=['a', 'b'], none=None, yes=True)


@pytest.mark.parametrize('name', ['a.json', 'a.yaml', 'a.yml', 'a.pkl',
                                  'a.pickle', 'a.PKL'])
def test_what_mmengine_writes(name, tmp_path):
    path = tmp_path / name
    mmengine.dump(VALUES, path, file_format=name[2:].lower())
    assert load_plain(str(path)) == VALUES


@pytest.mark.parametrize('protocol', range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_tensors_and_arrays(protocol, tmp_path):
    path, values = tmp_path / 'a.pkl', [
        torch.rand(4, 3)[1:, 2], torch.tensor([3]), torch.rand(2).half(),
        np.arange(6.).reshape(2, 3), np.float32(.5), np.array(['a', 'bc'])]
    path.write_bytes(pickle.dumps(values, protocol))
    for found, value in zip(load_plain(str(path)), values):
        assert type(found) is type(value) and found.dtype == value.dtype
        assert found.shape == value.shape and (found == value).all()


class Call:
    """Is a call once it is pickled."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def payloads(folder):
    made = Call(os.mkdir, str(folder))
    yield from (made, [dict(pred_score=made)], np.array([made], dtype=object),
                Call(eval, f'__import__("os").mkdir({str(folder)!r})'),
                Call(getattr, np.ndarray, '__class__'))
    for content in (pickle.dumps(made), saved(made), saved(
            made, _use_new_zipfile_serialization=False)):
        yield Call(torch.storage._load_from_bytes, content)


def test_nothing_runs(tmp_path):
    path, made = tmp_path / 'a.pkl', tmp_path / 'made'
    for payload in payloads(made):
        path.write_bytes(pickle.dumps(payload))
        with pytest.raises(ValueError, match='nothing of it was run'):
            load_plain(str(path))
    path = tmp_path / 'a.yaml'
    path.write_text(f'!!python/object/apply:os.mkdir [{made}]')
    with pytest.raises(ValueError, match='a.yaml does not load'):
        load_plain(str(path))
    assert not made.exists()


@pytest.mark.parametrize('name', ['a.json', 'a.pkl', 'a.yaml'])
@pytest.mark.parametrize('content', [b'\x80', b'{"a": [', b'\xff\xfe\x00'])
def test_broken_files(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{name} does not load.*--out FILE'):
        load_plain(str(path))


def test_files_that_are_no_results(tmp_path):
    with pytest.raises(FileNotFoundError, match='no result file .*gone.pkl'):
        load_plain(str(tmp_path / 'gone.pkl'))
    (tmp_path / 'a.txt').touch()
    with pytest.raises(ValueError, match='must end in .json'):
        load_plain(str(tmp_path / 'a.txt'))
