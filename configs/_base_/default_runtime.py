"""Runtime shared by all configs: hooks, environment, logging and seed."""
default_scope = 'mmpretrain'
custom_imports = dict(imports=['csd_mmpretrain'], allow_failed_imports=False)

runner_type = 'ShortLogRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='accuracy/top1',
        rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    exact_resume=dict(type='ExactResumeHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    setup_check=dict(type='SetupCheckHook'),
    checkpoint_match=dict(type='CheckpointMatchHook'),
    dataset_check=dict(type='DatasetCheckHook'),
    image_cache=dict(type='ImageCacheHook'),
    keep_memory=dict(type='KeepMemoryHook'),
    finite_check=dict(type='FiniteCheckHook'),
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    run_summary=dict(type='RunSummaryHook'))

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_level = 'INFO'
resume = False

# One seed for every run, so that two runs differ only in what was changed.
randomness = dict(seed=0, deterministic=False)
