"""Time and memory of a step: a config's model and what it is compared with."""
from copy import deepcopy
from functools import partial
from math import ceil, prod
from types import SimpleNamespace
from typing import Callable, Dict, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.dataset_settings import shared_pipeline
from csd_mmpretrain.runtime.run_options import set_amp
from csd_mmpretrain.utils.hook_settings import hook_settings
from csd_mmpretrain.utils.measure import (
    Cost,
    apart,
    peak_growth,
    take_turns,
)
from csd_mmpretrain.utils.protocol import (
    has_network_passes,
    plain_settings,
    takes_map,
    views_per_image,
)
from csd_mmpretrain.utils.tables import markdown_table
from csd_mmpretrain.utils.type_name import type_name

from .suite import view_hooks

PLAIN = 'the plain classifier'
NETWORKS = 'its networks alone'


class StepSetting(NamedTuple):
    """What is measured: training steps or predictions of a config's model.

    ``device`` is ``'cpu'`` or ``'cuda'``, ``amp`` the mixed precision of
    ``tools/train.py --amp``, ``name`` that of the model in the table.
    """

    cfg: Config
    batch_size: int
    img_size: int
    device: str = 'cpu'
    amp: bool = False
    training: bool = True
    name: str = "the config's model"


def plain_model_cfg(model: dict) -> dict:
    """Put the plain neck and head in the place of a model's own.

    Raises ValueError if neither stands in for a plain one.
    """
    plain = deepcopy(model)
    for part in ('neck', 'head'):
        if model.get(part):
            plain[part] = plain_settings(plain[part])
    if plain == model:
        raise ValueError(
            f'The config\'s head is {(model.get("head") or {}).get("type")}, '
            'and neither it nor the neck stands in for a plain one, so there '
            'is nothing to compare with the plain classifier. Give a config '
            'such as configs/csdnet/grocery81.py.')
    if takes_map(model['head']):
        plain['neck'] = dict(type='GlobalAveragePooling')
    return plain


def config_img_size(cfg: Config) -> int:
    """Find the size in pixels of the training images of a config.

    Raises ValueError if the training pipeline neither crops nor resizes.
    """
    for step in reversed(shared_pipeline(cfg.train_dataloader.dataset) or []):
        size = step.get('crop_size', step.get('scale'))
        kind = type_name(step['type'])
        if 'Crop' in kind or kind == 'Resize':
            return size if isinstance(size, int) else size[0]
    raise ValueError('The training pipeline of the config neither crops nor '
                     'resizes, so the size of the images is unknown. Give it '
                     'with `--img-size`.')


def step_variants(setting: StepSetting) -> Dict[str, int]:
    """List what is compared, with the number of plain passes of each.

    In training, as many plain passes as the backbone makes in a step of the
    config come between the plain classifier and the config's model. A model
    without a plain classifier is compared with its networks alone.
    """
    if has_network_passes(setting.cfg.model):
        return {NETWORKS: 1, setting.name: 1}
    passes = ceil(prod(map(views_per_image, view_hooks(setting.cfg))))
    variants = {PLAIN: 1}
    if setting.training and passes > 1:
        number = 'two' if passes == 2 else str(passes)
        variants[f'{number} plain passes'] = passes
    return {**variants, setting.name: 1}


def model_step(setting: StepSetting, variant: str) -> Callable[[], None]:
    """Make a function of one step; several plain passes make one update.

    Args:
        setting (StepSetting): What is measured.
        variant (str): Of :func:`step_variants`.

    Returns:
        Callable: It takes and returns nothing.
    """
    # Or mmengine lists the options of every parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(0)  # variants of one model start alike
    cfg = deepcopy(setting.cfg)
    torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get(
        'cudnn_benchmark', False)
    if 'img_size' in cfg.model.backbone:
        cfg.model.backbone.img_size = setting.img_size
    num_classes = 1
    if not has_network_passes(cfg.model):
        plain = plain_model_cfg(cfg.model)
        num_classes = plain['head']['num_classes']
        if variant != setting.name:
            cfg.model = plain
    batch = _random_batch(setting, num_classes)
    model = build_bare_model(cfg)
    model.init_weights()
    model.to(setting.device).train(setting.training)
    runner = SimpleNamespace(model=model, iter=0, max_iters=1)
    for kind in ('ChannelsLastHook', 'KeepMemoryHook'):
        settings = hook_settings(cfg, kind)
        if settings:
            HOOKS.build(settings).before_run(runner)
    if not setting.training:
        return partial(_predict, model, batch, setting)

    hooks = []
    if variant in (setting.name, NETWORKS):
        hooks = view_hooks(cfg)
        for hook in hooks:
            hook.before_train(runner)
            hook.before_train_iter(runner, 0, batch)
    passes = step_variants(setting)[variant]
    cfg.optim_wrapper.accumulative_counts = passes
    if setting.amp:
        set_amp(cfg, setting.device != 'cpu')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    runner.optim_wrapper = optim_wrapper
    if variant == NETWORKS:
        return _network_step(model, batch, optim_wrapper)

    def step() -> None:
        for _ in range(passes):
            model.train_step(batch, optim_wrapper)
        for hook in hooks:
            hook.after_train_iter(runner, 0, batch)

    return step


def _random_batch(setting: StepSetting, num_classes: int) -> dict:
    """Make images of a few blots, in which regions can be found."""
    blots = torch.rand(setting.batch_size, 3, 4, 4)
    images = F.interpolate(
        blots, (setting.img_size, setting.img_size), mode='bilinear')
    labels = torch.randint(num_classes, (setting.batch_size, ))
    return dict(
        inputs=(255 * images).byte(),
        data_samples=[DataSample(metainfo=dict(sample_idx=i)).set_gt_label(y)
                      for i, y in enumerate(labels)])


def _network_step(model: BaseModel, batch: dict,
                  optim_wrapper: OptimWrapper) -> Callable[[], None]:
    """Make a step of what a model's ``network_passes`` gives."""
    inputs = model.data_preprocessor(batch, True)['inputs']
    passes = model.network_passes(inputs)

    def step() -> None:
        with optim_wrapper.optim_context(model):
            loss = passes()
        optim_wrapper.update_params(loss)

    return step


@torch.no_grad()
def _predict(model: BaseModel, batch: dict, setting: StepSetting) -> None:
    dtype = torch.bfloat16 if setting.device == 'cpu' else torch.float16
    with torch.autocast(setting.device, dtype, enabled=setting.amp):
        model.test_step(batch)


def benchmark_step(setting: StepSetting,
                   iters: int = 10,
                   warmup: int = 2) -> Dict[str, Cost]:
    """Measure the variants.

    Time: steps of all models alternate in one process. Memory: see
    :func:`peak_memory`.

    Args:
        setting (StepSetting): What is measured.
        iters (int): Measured steps of each variant. Defaults to 10.
        warmup (int): Steps before them that are not counted. Defaults to 2.

    Returns:
        dict[str, Cost]: By variant.
    """
    if not has_network_passes(setting.cfg.model):
        plain_model_cfg(setting.cfg.model)  # before anything is measured
    variants = step_variants(setting)
    peaks = {name: peak_memory(setting, name, warmup + 2)
             for name in variants}
    steps = {name: model_step(setting, name) for name in variants}
    seconds = take_turns(steps, iters, warmup, setting.device)
    return {name: Cost(seconds[name], peaks[name]) for name in variants}


def peak_memory(setting: StepSetting, variant: str, steps: int = 3) -> float:
    """Measure the peak memory of some steps in MiB.

    On a GPU it is what torch has allocated at most. On a CPU it is the growth
    of the peak resident memory of a process of its own. Weights, gradients,
    optimizer state and activations are part of it.

    Args:
        setting (StepSetting): What is measured.
        variant (str): Of :func:`step_variants`.
        steps (int): The second one has the optimizer's state. Defaults to 3.

    Returns:
        float: MiB.
    """
    return apart(setting.device, _peak_memory, setting, variant, steps)


def _peak_memory(setting: StepSetting, variant: str, steps: int) -> float:
    import csd_mmpretrain  # noqa: F401  registers everything

    def work() -> None:
        step = model_step(setting, variant)
        for _ in range(steps):
            step()

    return peak_growth(work, setting.device)


def format_table(setting: StepSetting, costs: Dict[str, Cost]) -> str:
    """Write the costs by variant as a Markdown table with ratios below.

    The spread is half the interquartile range over the median; ratios of time
    are medians over the turns.
    """
    rows, ratios = [], []
    own = costs[setting.name]
    for name, (seconds, peak) in costs.items():
        low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
        rows.append((name, f'{1000 * middle:.0f}',
                     f'{(high - low) / 2 / middle:.1%}',
                     f'{setting.batch_size / middle:.2f}', f'{peak:.0f}'))
        if name != setting.name:
            ratios.append(f'- {setting.name} against {name}: time x '
                          f'{np.median(own.seconds / seconds):.3f}, memory x '
                          f'{own.peak_mib / max(peak, 1):.2f}')
    step = 'training step' if setting.training else 'prediction'
    return '\n'.join([markdown_table(
        (f'per {step}', 'ms', 'spread', 'images/s', 'peak memory (MiB)'),
        rows), '', *ratios])
