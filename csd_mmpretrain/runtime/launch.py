"""From a config to a runner, in one process or in several."""
import datetime
import gc
import os
import subprocess
from typing import Callable

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

from csd_mmpretrain.utils.type_name import type_name

# Where each launcher tells rank, number of processes and local rank.
VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
         'OMPI_COMM_WORLD_LOCAL_RANK'))


def launch(cfg: Config, work: Callable[[Runner], object]) -> None:
    """Build the runner of a config, use it, and end its process group.

    Args:
        cfg (Config): The whole config, its ``launcher`` included.
        work (Callable): Is called with the runner, and must not keep it.

    Raises:
        ValueError: See :func:`start_processes`.

    Example:
        ::

            launch(cfg, lambda runner: runner.train())
    """
    start_processes(cfg)
    work(RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg))
    # Not after an error: there the other processes would be waited for.
    if distributed.is_initialized():
        end_processes()


def end_processes() -> None:
    """End the process group, and the threads of gloo with it.

    A thread that still holds a tensor when the interpreter ends aborts it
    (https://github.com/pytorch/pytorch/issues/190489). The threads end with
    the last reference to the group. Where that is dropped under the
    interpreter's lock, as by DDP, or by torch 2.1 within
    ``destroy_process_group``, it may wait forever for a thread that needs the
    lock.
    """
    group = distributed.group.WORLD
    distributed.destroy_process_group()
    gc.collect()
    del group


def start_processes(cfg: Config) -> None:
    """Form the process group where mmengine cannot: without a GPU.

    mmengine would ask for a GPU, so the group (gloo) is formed here, and the
    model's wrapper is told to stay on the CPU.

    Args:
        cfg (Config): The whole config; ``model_wrapper_cfg``, or the
            ``strategy`` of FlexibleRunner, may be changed.

    Raises:
        ValueError: If there are several processes or FSDP without a launcher,
            a launcher without its processes, or mpirun on several machines
            without MASTER_ADDR.
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
    names = VARIABLES.get(launcher, VARIABLES['pytorch'])
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {launcher}: the environment has no '
            f'{", ".join(missing)}. Start the tool with tools/dist_train.sh, '
            'tools/slurm_train.sh, torchrun, srun or mpirun.')
    on_gpu = get_device() != 'cpu'
    # Of mpirun mmengine reads the rank alone.
    if is_distributed() or on_gpu and launcher != 'mpi':
        return
    for ours, theirs in zip(VARIABLES['pytorch'], names):
        os.environ[ours] = os.environ[theirs]
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


def _stay_on_cpu(cfg: Config) -> None:
    """Tell the model's wrapper, of either runner, not to ask for a GPU."""
    owner, name = cfg, 'model_wrapper_cfg'
    if cfg.get('runner_type') == 'FlexibleRunner':
        cfg.strategy = cfg.get('strategy') or dict(type='DDPStrategy')
        owner, name = cfg.strategy, 'model_wrapper'
    wrapper = dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
    device = dict(device_ids=None)
    if is_sharded(cfg):
        wrapper, device = {}, dict(device_id='cpu')
    owner[name] = {**wrapper, **(owner.get(name) or {}), **device}


def is_sharded(cfg: Config) -> bool:
    """Tell whether FSDP shards the model.

    Args:
        cfg (Config): The whole config.

    Returns:
        bool: True for FlexibleRunner with an ``FSDPStrategy``.
    """
    strategy = cfg.get('strategy') or {}
    return (cfg.get('runner_type') == 'FlexibleRunner'
            and type_name(strategy.get('type')).endswith('FSDPStrategy'))


def _first_host() -> str:
    nodes = os.environ.get('SLURM_NODELIST')
    if nodes is not None:
        command = ['scontrol', 'show', 'hostname', nodes]
        return subprocess.check_output(command, text=True).split()[0]
    total = os.environ.get('OMPI_COMM_WORLD_SIZE')
    here = os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', total)
    if here != total:
        raise ValueError(
            f'mpirun has started {total} processes, {here} of them on '
            'this machine, but MASTER_ADDR is not set. Set it to the '
            'address of the first machine (`mpirun -x MASTER_ADDR=...`).')
    return '127.0.0.1'
