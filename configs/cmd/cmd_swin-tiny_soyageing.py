"""CMD on SoyAgeing: the training leaves of all five stages together."""
_base_ = './cmd_swin-tiny_cotton80.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='SoyAgeing',
                data_root='{{$CSD_DATA_ROOT:data}}/' + stage,
                stage=stage,
                split='train',
                pipeline=_base_.train_pipeline)
            for stage in ('R1', 'R3', 'R4', 'R5', 'R6')
        ]))
