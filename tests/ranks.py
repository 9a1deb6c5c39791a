"""Processes that form a group, and what each of them finds."""
import sys
from multiprocessing import get_context

import torch

from csd_mmpretrain.runtime.launch import end_processes

# Forks of a server that has imported everything and run nothing: a test's own
# process may have used threads, which a fork does not survive.
START = 'spawn' if sys.platform == 'win32' else 'forkserver'
if START == 'forkserver':
    get_context(START).set_forkserver_preload([
        'csd_mmpretrain', 'mmengine._strategy', 'mmpretrain.apis'])


def _run(rank, function, folder, world, args):
    torch.set_num_threads(1)
    if rank == world:
        torch.save(function(None, *args), f'{folder}/{rank}.pth')
        return
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/rendezvous', rank=rank, world_size=world)
    torch.save(function(rank, *args), f'{folder}/{rank}.pth')
    torch.distributed.barrier()
    end_processes()


def run_ranks(function, folder, *args, world=2, alone=False):
    """List what `function(rank, *args)` returns on each rank of a group.

    With `alone`, a process that is in no group comes last; its rank is None.
    """
    torch.multiprocessing.start_processes(
        _run, (function, folder, world, args), nprocs=world + alone,
        start_method=START)
    return [torch.load(f'{folder}/{rank}.pth')
            for rank in range(world + alone)]
