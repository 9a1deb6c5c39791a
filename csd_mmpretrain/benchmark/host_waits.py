"""How often the host waits for the device in a training step."""
from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile

from csd_mmpretrain.utils.tables import markdown_table

from .step_benchmark import StepSetting, model_step, step_variants

# Operators whose result the host needs, and the waits of CUDA's runtime.
READS = ('aten::_local_scalar_dense', 'aten::nonzero')
WAITS = ('cudaStreamSynchronize', 'cudaEventSynchronize')


def wait_table(setting: StepSetting, steps: int = 3) -> str:
    """Trace some training steps of each variant and count.

    What CSDNet's step has more than as many plain passes is its own. On a CPU
    there are reads alone: each would be a wait on a GPU.

    Args:
        setting (StepSetting): What is traced.
        steps (int): Traced steps, after one that is not. Defaults to 3.

    Returns:
        str: A Markdown table, per training step.
    """
    activities = [ProfilerActivity.CPU]
    if setting.device != 'cpu':
        activities.append(ProfilerActivity.CUDA)
    rows = []
    for name in step_variants(setting):
        step = model_step(setting, name)
        step()
        with profile(activities=activities) as trace:
            for _ in range(steps):
                step()
            if setting.device != 'cpu':
                torch.cuda.synchronize()
        counts = Counter(event.name for event in trace.events())
        rows.append((name, *(
            f'{sum(counts[kind] for kind in kinds) / steps:g}'
            for kinds in (READS, WAITS))))
    return markdown_table(('per training step', 'values read by the host',
                           'waits for the device'), rows)
