"""configs/cmd/cmd_mobilenet-v2_unlabeled.py on a folder without labels."""
import torch
from noise_images import write_noise_images


def test_a_folder_trains_and_hands_its_backbone_over(
        run_python, repo_root, tmp_path):
    folder = tmp_path / 'unlabeled'
    folder.mkdir()
    write_noise_images(folder, 3, size=140)
    (folder / 'class0/0.png').rename(folder / 'in no subfolder.png')
    config = repo_root / 'configs/cmd/cmd_mobilenet-v2_unlabeled.py'
    settings = ['--cfg-options', 'train_dataloader.batch_size=4',
                'train_dataloader.num_workers=0', 'train_cfg.max_epochs=2',
                'model.backbone.init_cfg=None', 'model.neck.num_prototypes=8',
                'model.region_neck.num_prototypes=8',
                'model.head.num_prototypes=8']
    log = run_python(repo_root / 'tools/train.py', config, '--work-dir',
                     tmp_path / 'run', *settings,
                     CSD_DATA_ROOT=str(tmp_path)).stdout
    assert '9 images' in log and 'Saving checkpoint at 2 epochs' in log
    run_python(repo_root / 'tools/model_converters/export_backbone.py',
               tmp_path / 'run/epoch_2.pth', tmp_path / 'backbone.pth')
    names = torch.load(tmp_path / 'backbone.pth')
    names = names.get('state_dict', names)
    assert any('conv1' in name for name in names)
    (folder / 'photo.heic').touch()
    log = run_python(repo_root / 'tools/train.py', config, '--check-data',
                     CSD_DATA_ROOT=str(tmp_path)).stdout
    assert 'are left out' in log and 'photo.heic' in log
