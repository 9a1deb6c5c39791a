"""Time and memory of a step: plain, twice plain, and CSDNet."""
from copy import deepcopy
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Callable, Dict, List, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample

from csd_mmpretrain.checkpoints.bare_model import build_bare_model
from csd_mmpretrain.datasets.dataset_settings import shared_pipeline
from csd_mmpretrain.runtime.run_options import set_amp
from csd_mmpretrain.utils.hook_settings import hook_settings
from csd_mmpretrain.utils.measure import (
    in_process,
    median_ratio,
    peak_growth,
    spread,
    take_turns,
)
from csd_mmpretrain.utils.type_name import type_name

VARIANTS = {
    'plain': 'the plain classifier',
    'twice': 'two plain passes',
    'csdnet': 'CSDNet'
}


class StepSetting(NamedTuple):
    """What is measured.

    Attributes:
        cfg (Config): A config of CSDNet.
        batch_size (int): Images per step.
        img_size (int): Height and width of the images in pixels.
        device (str): ``'cpu'`` or ``'cuda'``.
        amp (bool): Mixed precision, that of ``tools/train.py --amp``.
        training (bool): Training steps, or predictions.
    """

    cfg: Config
    batch_size: int
    img_size: int
    device: str = 'cpu'
    amp: bool = False
    training: bool = True

    @property
    def variants(self) -> List[str]:
        """Those that are compared; a prediction passes once."""
        return list(VARIANTS) if self.training else ['plain', 'csdnet']


class StepCost(NamedTuple):
    """What the steps of a variant cost.

    Attributes:
        seconds (list[float]): Of each measured step.
        peak_mib (float): Peak memory, MiB.
    """

    seconds: List[float]
    peak_mib: float


def plain_model_cfg(model: dict) -> dict:
    """Turn the model of a CSDNet config into its plain classifier.

    The same backbone; average pooling in the place of SSDPNeck; the inner
    head of CSDHead.

    Args:
        model (dict): The config's model; it is left as it is.

    Returns:
        dict: The plain model.

    Raises:
        ValueError: If the model's head is not a CSDHead.
    """
    head = model.get('head') or {}
    if type_name(head.get('type')) != 'CSDHead':
        raise ValueError(
            f'The config\'s head is {head.get("type")}, so there is no '
            'CSDNet to compare with the plain classifier. Give a config with '
            "head=dict(type='CSDHead', ...), such as "
            'configs/csdnet/grocery81.py.')
    model = deepcopy(model)
    model['head'] = model['head']['cls_head']
    neck = model.get('neck') or {}
    if type_name(neck.get('type')) == 'SSDPNeck':
        if neck.get('layout', 'nchw') == 'nchw':
            model['neck'] = ConfigDict(type='GlobalAveragePooling')
        else:
            # mmpretrain has no average pooling of these layouts.
            neck.update(gating='none', kernel='gap')
    return model


def config_img_size(cfg: Config) -> int:
    """Find the size of the training images in a config.

    Args:
        cfg (Config): The whole config.

    Returns:
        int: Pixels.

    Raises:
        ValueError: If the training pipeline does not tell.
    """
    steps = shared_pipeline(cfg.train_dataloader.dataset) or []
    for step in reversed(steps):
        size = step.get('crop_size', step.get('scale'))
        kind = type_name(step['type'])
        if 'Crop' in kind or kind == 'Resize':
            return size if isinstance(size, int) else size[0]
    raise ValueError('The training pipeline of the config neither crops nor '
                     'resizes, so the size of the images is not known. Give '
                     'it with `--img-size`.')


def model_step(setting: StepSetting, variant: str) -> Callable[[], None]:
    """Make a function that does one step with a model, random images in.

    It is the step of mmengine's runner. Training: preprocessing, forward,
    backward and the config's optimizer, where ``'twice'`` is two plain
    forwards and backwards with one update at the end. Prediction:
    preprocessing, forward, scores.

    Args:
        setting (StepSetting): What is measured.
        variant (str): ``'plain'``, ``'twice'`` or ``'csdnet'``.

    Returns:
        Callable: Call it for one step.
    """
    # Or mmengine lists the options of every parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    cfg = deepcopy(setting.cfg)
    torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get(
        'cudnn_benchmark', False)
    if 'img_size' in cfg.model.backbone:
        cfg.model.backbone.img_size = setting.img_size
    if variant != 'csdnet':
        cfg.model = plain_model_cfg(cfg.model)
    model = build_bare_model(cfg).to(setting.device).train(setting.training)
    _apply_hooks(cfg, model, setting.training and variant == 'csdnet')
    batch = _random_batch(setting, plain_model_cfg(setting.cfg.model))
    if not setting.training:
        return partial(_predict, model, batch, setting)

    passes = 2 if variant == 'twice' else 1
    cfg.optim_wrapper.accumulative_counts = passes
    if setting.amp:
        set_amp(cfg, setting.device != 'cpu')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)

    def step() -> None:
        for _ in range(passes):
            model.train_step(batch, optim_wrapper)

    return step


@torch.no_grad()
def _predict(model: BaseModel, batch: dict, setting: StepSetting) -> None:
    dtype = torch.bfloat16 if setting.device == 'cpu' else torch.float16
    with torch.autocast(setting.device, dtype, enabled=setting.amp):
        model.test_step(batch)


def _apply_hooks(cfg: Config, model: BaseModel, second_view: bool) -> None:
    """Let the hooks that change the step work on the model."""
    runner = SimpleNamespace(model=model)
    for kind in ('ChannelsLastHook', 'KeepMemoryHook'):
        hook = hook_settings(cfg, kind)
        if hook:
            HOOKS.build(hook).before_run(runner)
    hook = hook_settings(cfg, 'SSDPHook')
    if second_view and hook:
        HOOKS.build(hook).before_train(runner)


def _random_batch(setting: StepSetting, model: dict) -> Dict[str, object]:
    size = (setting.batch_size, 3, setting.img_size, setting.img_size)
    labels = torch.randint(model['head']['num_classes'], size[:1])
    return dict(
        inputs=torch.randint(256, size, dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(y) for y in labels])


def benchmark_step(setting: StepSetting,
                   iters: int = 10,
                   warmup: int = 2) -> Dict[str, StepCost]:
    """Measure the variants.

    Time: one process, all models in it, whose steps alternate. Memory: a
    process of its own for each variant, for ``warmup + 2`` steps.

    Args:
        setting (StepSetting): What is measured.
        iters (int): Measured steps of each variant. Defaults to 10.
        warmup (int): Steps before them that are not counted. Defaults to 2.

    Returns:
        dict[str, StepCost]: By variant.
    """
    plain_model_cfg(setting.cfg.model)
    cfg = setting.cfg
    portable = setting._replace(cfg=(cfg._cfg_dict.to_dict(), cfg.filename))
    peaks = {
        v: in_process(peak_memory, portable, v, warmup + 2)
        for v in setting.variants
    }
    steps = {v: model_step(setting, v) for v in setting.variants}
    seconds = take_turns(steps, iters, warmup, setting.device)
    return {v: StepCost(seconds[v], peaks[v]) for v in setting.variants}


def peak_memory(setting: StepSetting, variant: str, steps: int) -> float:
    """Do a few steps in this process and tell the peak memory.

    On a GPU: what torch has allocated there at most. On a CPU: by how much
    the process's peak resident memory grows from before the model is built,
    so weights, gradients, optimizer state and activations count.

    Args:
        setting (StepSetting): What is measured; its ``cfg`` may be a dict and
            a file name, to cross to another process.
        variant (str): See :func:`model_step`.
        steps (int): How many steps.

    Returns:
        float: MiB.
    """
    import csd_mmpretrain  # noqa: F401  registers everything
    if isinstance(setting.cfg, tuple):
        setting = setting._replace(
            cfg=Config(setting.cfg[0], filename=setting.cfg[1]))

    def work() -> None:
        step = model_step(setting, variant)
        for _ in range(steps):
            step()

    return peak_growth(work, setting.device)


def format_table(setting: StepSetting, costs: Dict[str, StepCost]) -> str:
    """Write the costs as a Markdown table.

    Of two plain passes, an image counts once. The ratios of time are medians
    over the turns.

    Args:
        setting (StepSetting): What was measured.
        costs (dict[str, StepCost]): By variant.

    Returns:
        str: The table, with the ratios below.
    """
    lines = [
        f'| per {"training step" if setting.training else "prediction"} | ms '
        '| spread | images/s | peak memory (MiB) |',
        '| :--- | ---: | ---: | ---: | ---: |'
    ]
    for variant, cost in costs.items():
        middle = median(cost.seconds)
        lines.append(f'| {VARIANTS[variant]} | {1000 * middle:.0f} | '
                     f'{spread(cost.seconds):.1%} | '
                     f'{setting.batch_size / middle:.2f} | '
                     f'{cost.peak_mib:.0f} |')
    lines.append('')
    csdnet = costs['csdnet']
    for variant, other in costs.items():
        if variant != 'csdnet':
            lines.append(
                f'- CSDNet against {VARIANTS[variant]}: time x '
                f'{median_ratio(csdnet.seconds, other.seconds):.3f}, memory '
                f'x {csdnet.peak_mib / max(other.peak_mib, 1):.2f}')
    return '\n'.join(lines)
