from csd_mmpretrain.runtime import kept_memory


def test_nothing_happens_with_another_c_library(monkeypatch):
    monkeypatch.setattr(kept_memory.ctypes, 'CDLL', lambda name: object())
    assert not kept_memory.keep_freed_memory()
