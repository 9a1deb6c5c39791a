"""Time and memory of a training step: plain, twice plain, and CSDNet."""
import gc
import resource
import sys
import time
from copy import deepcopy
from multiprocessing import get_context
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Callable, Dict, List, NamedTuple, Optional

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import HOOKS
from mmpretrain.structures import DataSample

from .bare_model import build_bare_model

VARIANTS = {
    'plain': 'plain classifier, one view',
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
        amp (bool): Mixed precision, on a GPU.
    """

    cfg: Config
    batch_size: int
    img_size: int
    device: str = 'cpu'
    amp: bool = False


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
    if head.get('type') != 'CSDHead':
        raise ValueError(
            f'The config\'s head is {head.get("type")}, so there is no '
            'CSDNet to compare with the plain classifier. Give a config with '
            "head=dict(type='CSDHead', ...), such as "
            'configs/csdnet/grocery81.py.')
    model = deepcopy(model)
    model['head'] = model['head']['cls_head']
    neck = model.get('neck') or {}
    if neck.get('type') == 'SSDPNeck':
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
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    for step in reversed(dataset.get('pipeline', [])):
        size = step.get('crop_size', step.get('scale'))
        if 'Crop' in step['type'] or step['type'] == 'Resize':
            return size if isinstance(size, int) else size[0]
    raise ValueError('The training pipeline of the config neither crops nor '
                     'resizes, so the size of the images is not known. Give '
                     'it with `--img-size`.')


def training_step(setting: StepSetting, variant: str) -> Callable[[], None]:
    """Make a function that trains a model with one step, random images in.

    It is the step of mmengine's runner: preprocessing, forward, backward and
    the config's optimizer. ``'twice'`` is two plain forwards and backwards
    with one update at the end.

    Args:
        setting (StepSetting): What is measured.
        variant (str): ``'plain'``, ``'twice'`` or ``'csdnet'``.

    Returns:
        Callable: Call it for one step.
    """
    # Or mmengine lists the options of every parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    cfg = deepcopy(setting.cfg)
    if 'img_size' in cfg.model.backbone:
        cfg.model.backbone.img_size = setting.img_size
    if variant != 'csdnet':
        cfg.model = plain_model_cfg(cfg.model)
    model = build_bare_model(cfg).to(setting.device).train()
    _apply_hooks(cfg, model, second_view=variant == 'csdnet')

    passes = 2 if variant == 'twice' else 1
    wrapper = cfg.optim_wrapper
    wrapper.accumulative_counts = passes
    if setting.amp:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        optim_wrapper = build_optim_wrapper(model, wrapper)
    batch = _random_batch(setting, plain_model_cfg(setting.cfg.model))

    def step() -> None:
        for _ in range(passes):
            model.train_step(batch, optim_wrapper)

    return step


def _apply_hooks(cfg: Config, model: BaseModel, second_view: bool) -> None:
    """Let the hooks that change the step work on the model."""
    runner = SimpleNamespace(model=model)
    hooks = cfg.get('default_hooks', {})
    if hooks.get('channels_last'):
        HOOKS.build(hooks.channels_last).before_run(runner)
    if second_view and hooks.get('ssdp'):
        HOOKS.build(hooks.ssdp).before_train(runner)


def _random_batch(setting: StepSetting, model: dict) -> Dict[str, object]:
    size = (setting.batch_size, 3, setting.img_size, setting.img_size)
    labels = torch.randint(model['head']['num_classes'], size[:1])
    return dict(
        inputs=torch.randint(256, size, dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(y) for y in labels])


def benchmark_step(setting: StepSetting,
                   iters: int = 10,
                   warmup: int = 2) -> Dict[str, StepCost]:
    """Measure the three variants.

    Time: one process, all three models in it, whose steps alternate, so that
    what disturbs the machine disturbs all three. Memory: a process of its own
    for each variant, which trains for ``warmup + 2`` steps.

    Args:
        setting (StepSetting): What is measured.
        iters (int): Measured steps of each variant. Defaults to 10.
        warmup (int): Steps before them that are not counted. Defaults to 2.

    Returns:
        dict[str, StepCost]: By variant.
    """
    plain_model_cfg(setting.cfg.model)
    peaks = {v: _peak_in_child(setting, v, warmup + 2) for v in VARIANTS}
    torch.backends.cudnn.benchmark = setting.cfg.get('env_cfg', {}).get(
        'cudnn_benchmark', False)
    steps = {v: training_step(setting, v) for v in VARIANTS}
    seconds = {v: [] for v in VARIANTS}
    order = list(VARIANTS)
    for i in range(warmup + iters):
        order = order[1:] + order[:1]
        for variant in order:
            spent = _timed(steps[variant], setting.device)
            if i >= warmup:
                seconds[variant].append(spent)
    return {v: StepCost(seconds[v], peaks[v]) for v in VARIANTS}


def _timed(step: Callable[[], None], device: str) -> float:
    _synchronise(device)
    start = time.perf_counter()
    step()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()


def _peak_in_child(setting: StepSetting, variant: str, steps: int) -> float:
    cfg = setting.cfg
    plain = setting._replace(cfg=(cfg._cfg_dict.to_dict(), cfg.filename))
    with get_context('spawn').Pool(1) as pool:
        return pool.apply(peak_memory,
                          (plain, variant, steps, torch.get_num_threads()))


def peak_memory(setting: StepSetting,
                variant: str,
                steps: int,
                threads: Optional[int] = None) -> float:
    """Train a few steps in this process and tell the peak memory.

    On a GPU: what torch has allocated there at most. On a CPU: by how much
    the process's peak resident memory grows from before the model is built,
    so weights, gradients, optimizer state and activations count.

    Args:
        setting (StepSetting): What is measured; its ``cfg`` may be a dict and
            a file name, to cross to another process.
        variant (str): See :func:`training_step`.
        steps (int): How many steps.
        threads (int, optional): Threads of torch. Defaults to None, torch's
            choice.

    Returns:
        float: MiB.
    """
    import csd_mmpretrain  # noqa: F401  registers everything
    if isinstance(setting.cfg, tuple):
        setting = setting._replace(
            cfg=Config(setting.cfg[0], filename=setting.cfg[1]))
    if threads is not None:
        torch.set_num_threads(threads)
    gc.collect()
    before = _peak_rss_mib()
    step = training_step(setting, variant)
    for _ in range(steps):
        step()
    if setting.device != 'cpu':
        return torch.cuda.max_memory_allocated() / 2**20
    return _peak_rss_mib() - before


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)


def format_table(setting: StepSetting, costs: Dict[str, StepCost]) -> str:
    """Write the costs as a Markdown table.

    Of two plain passes, an image counts once. The spread is half the
    interquartile range over the median. The ratios of time are medians over
    the repetitions.

    Args:
        setting (StepSetting): What was measured.
        costs (dict[str, StepCost]): By variant.

    Returns:
        str: The table, with two lines of ratios below.
    """
    lines = [
        '| per step | ms | spread | images/s | peak memory (MiB) |',
        '| :--- | ---: | ---: | ---: | ---: |'
    ]
    for variant, cost in costs.items():
        middle = median(cost.seconds)
        lines.append(f'| {VARIANTS[variant]} | {1000 * middle:.0f} | '
                     f'{_spread(cost.seconds):.1%} | '
                     f'{setting.batch_size / middle:.2f} | '
                     f'{cost.peak_mib:.0f} |')
    lines.append('')
    csdnet = costs['csdnet']
    for variant, name in (('plain', 'the plain step'), ('twice',
                                                        'two plain passes')):
        other = costs[variant]
        ratio = median(a / b for a, b in zip(csdnet.seconds, other.seconds))
        memory = csdnet.peak_mib / other.peak_mib
        lines.append(f'- CSDNet against {name}: time x {ratio:.2f}, '
                     f'memory x {memory:.2f}')
    return '\n'.join(lines)


def _spread(values: List[float]) -> float:
    if len(values) < 2:
        return 0.
    low, _, high = quantiles(values, n=4, method='inclusive')
    return (high - low) / 2 / median(values)
