import pytest

from csd_mmpretrain.utils import cores


@pytest.mark.parametrize('flags, lacks', [
    ('avx2 avx512f', True), ('avx512f avx512_bf16', False),
    ('amx_bf16 avx2', False), ('fp asimd bf16', False), (None, False)])
def test_bfloat16_by_the_instructions(monkeypatch, tmp_path, flags, lacks):
    listed = tmp_path / 'cpuinfo'
    if flags:
        listed.write_text(f'processor : 0\nflags : fpu {flags} sse\n')
    monkeypatch.setattr(cores, 'Path', lambda name: listed)
    assert cores.lacks_bfloat16() is lacks
