"""Pre-training on Grocery81 without labels: what the features are worth.

The score is Rank-1: queries are the test photos, the gallery is the training
photos (protocol train-gallery).
"""
baseline = 'dino'
seeds = [1, 2, 3]
metric = 'retrieval/train-gallery/rank1'
options = {'train_dataloader.num_workers': 1}

runs = dict(
    dino=dict(title='DINO', config='../cmd/dino_mobilenet-v2_grocery81.py'),
    region=dict(
        title='+ L_R', config='../cmd/cmd_mobilenet-v2_grocery81_region.py'),
    cmd=dict(
        title='+ L_R + L_S (CMD)',
        config='../cmd/cmd_mobilenet-v2_grocery81.py'),
    mocov2=dict(
        title='MoCo v2', config='../cmd/mocov2_mobilenet-v2_grocery81.py'),
    simsiam=dict(
        title='SimSiam', config='../cmd/simsiam_mobilenet-v2_grocery81.py'))
