"""From a config to a runner, in one process or in several."""
import datetime
import gc
import os
import subprocess
from typing import Callable, Dict

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

from csd_mmpretrain.utils.type_name import type_name


def launch(cfg: Config, work: Callable[[Runner], object]) -> None:
    """Build the runner of a config, let it work, and end its process group.

    Args:
        cfg (Config): The whole config, its ``launcher`` included.
        work (callable): Is called with the runner. It must not keep it, as
            the process group ends with the runner's model.

    Raises:
        ValueError: If there are several processes without a launcher, or a
            launcher without its processes.

    Example:
        ::

            launch(cfg, lambda runner: runner.train())
    """
    start_processes(cfg)
    work(RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    # Not after an error: there the other processes would be waited for.
    if distributed.is_initialized():
        _end_processes()


def start_processes(cfg: Config) -> None:
    """Join the other processes of the launcher where mmengine cannot.

    With a GPU mmengine does it. Without one it would ask for one, so the
    group (gloo) is formed here, and the model's wrapper is told to stay on
    the CPU.

    Args:
        cfg (Config): The whole config; ``model_wrapper_cfg``, or the
            ``strategy`` of FlexibleRunner, may be changed.

    Raises:
        ValueError: If there are several processes without a launcher, whose
            models would drift apart, a launcher without its processes, mpirun
            on several machines without MASTER_ADDR, or FSDP without a
            launcher.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        processes = os.environ.get('WORLD_SIZE', '1')
        if processes != '1' or is_distributed():
            raise ValueError(
                f'There are {processes} processes (WORLD_SIZE), but '
                '--launcher is none, so each would train a model of its own. '
                'Add `--launcher pytorch`, or start with '
                'tools/dist_train.sh; for one process, unset WORLD_SIZE.')
        if is_sharded(cfg):
            raise ValueError(
                f'{cfg.strategy.type} shares a model among processes, but '
                '--launcher is none. Start with tools/dist_train.sh, or for '
                'one process add `--cfg-options runner_type=Runner`.')
        return
    ranks = _ranks(launcher)
    on_gpu = get_device() != 'cpu'
    # Of mpirun mmengine reads the rank alone.
    if is_distributed() or on_gpu and launcher != 'mpi':
        return
    os.environ.update(ranks)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host()
    if on_gpu:
        return
    options = dict(backend='gloo')
    timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    if timeout is not None:
        options['timeout'] = datetime.timedelta(seconds=timeout)
    distributed.init_process_group(**options)
    _stay_on_cpu(cfg)


def _end_processes() -> None:
    """End the process group and its threads.

    A thread of gloo that still holds a tensor when the interpreter ends
    aborts the process (https://github.com/pytorch/pytorch/issues/190489).
    The threads end with the last reference to the group. DDP has one, which
    must not be the last, as it is dropped under Python's lock.
    """
    group = distributed.group.WORLD
    distributed.destroy_process_group()
    gc.collect()
    del group


def _stay_on_cpu(cfg: Config) -> None:
    """Tell the model's wrapper, of either runner, not to ask for a GPU."""
    owner, name = cfg, 'model_wrapper_cfg'
    if cfg.get('runner_type') == 'FlexibleRunner':
        cfg.strategy = cfg.get('strategy') or dict(type='DDPStrategy')
        owner = cfg.strategy
        name = 'model_wrapper'
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    device = dict(device_ids=None)
    if is_sharded(cfg):
        wrapper, device = dict(), dict(device_id='cpu')
    owner[name] = {**wrapper, **(owner.get(name) or {}), **device}


def is_sharded(cfg: Config) -> bool:
    """Tell whether the processes share one model, as FSDP does.

    Args:
        cfg (Config): The whole config.

    Returns:
        bool: True for FlexibleRunner with an ``FSDPStrategy``.
    """
    strategy = cfg.get('strategy') or {}
    return (cfg.get('runner_type') == 'FlexibleRunner'
            and type_name(strategy.get('type')).endswith('FSDPStrategy'))


def _ranks(launcher: str) -> Dict[str, str]:
    """Give what the launcher says of this process the names torch reads."""
    names = {
        'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
        'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
                'OMPI_COMM_WORLD_LOCAL_RANK')
    }.get(launcher, ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'))
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher}: the environment has no '
            f'{", ".join(missing)}. Start the tool with tools/dist_train.sh, '
            'tools/slurm_train.sh, torchrun, srun or mpirun.')
    return {
        ours: os.environ[theirs]
        for ours, theirs in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names)
    }


def _first_host() -> str:
    nodes = os.environ.get('SLURM_NODELIST')
    if nodes is None:
        total = os.environ.get('OMPI_COMM_WORLD_SIZE')
        here = os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', total)
        if here != total:
            raise ValueError(
                f'mpirun has started {total} processes, {here} of them on '
                'this machine, but MASTER_ADDR is not set. Set it to the '
                'address of the first machine (`mpirun -x MASTER_ADDR=...`).')
        return '127.0.0.1'
    return subprocess.check_output(['scontrol', 'show', 'hostname', nodes],
                                   text=True).split()[0]
