"""Names of checkpoints."""
import pytest

from csd_mmpretrain.checkpoints.checkpoint_files import (
    check_template,
    saved_steps,
)


@pytest.mark.parametrize('template', [
    'epoch_{}.pth', 'e{:03d}.pth', 'step {} (a+b).tar', '{}'])
def test_templates_that_a_resume_reads(template, tmp_path):
    check_template(template)
    for step in (1, 20, 3000):
        (tmp_path / template.format(step)).touch()
    assert set(saved_steps(str(tmp_path), template)) == {1, 20, 3000}


@pytest.mark.parametrize('template', [
    'model.pth', 'e{}_{}.pth', 'e{epoch}.pth', 'sub/e{}.pth', 'e{:x}.pth',
    'e{', ''])
def test_templates_that_it_would_not_find_again(template, tmp_path):
    with pytest.raises(ValueError, match="filename_tmpl=.*'epoch_{}.pth'"):
        check_template(template)
    (tmp_path / 'model.pth').touch()
    assert saved_steps(str(tmp_path), 'model.pth') == {}
