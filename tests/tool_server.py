"""Run Python programs in forks of one process that has imported all there is.

A program starts at once so, where an import of torch and mmpretrain takes
seconds, and yet in a process of its own, whose state is that of an import.
The standard input gives a job in each line, as JSON: the arguments of Python,
the environment, the working directory, and the file for what is printed. The
standard output answers with the exit code.
"""
import atexit
import gc
import json
import os
import runpy
import signal
import sys
import threading
import traceback

import matplotlib.figure  # noqa: F401
import mmpretrain.apis  # noqa: F401
import quick_mmengine  # noqa: F401

import csd_mmpretrain  # noqa: F401
import csd_mmpretrain.runtime.run_options  # noqa: F401

SECONDS = 300


def run(job: dict) -> int:
    """Run a program as Python does, and return its exit code."""
    program = job['args'][0]
    with open(job['out'], 'wb') as out, open(os.devnull) as nothing:
        for stream, source in enumerate((nothing, out, out)):
            os.dup2(source.fileno(), stream)
    os.chdir(job['folder'])
    os.environ.clear()
    os.environ.update(job['environment'])
    sys.argv = job['args']
    sys.path[:1] = [os.path.dirname(program),
                    *job['environment']['PYTHONPATH'].split(os.pathsep)]
    signal.alarm(SECONDS)
    code = 0
    try:
        runpy.run_path(program, run_name='__main__')
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == '__main__':
    gc.collect()
    gc.freeze()
    print('ready', flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(json.loads(line)))
        status = os.waitpid(child, 0)[1]
        print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else
              -os.WTERMSIG(status), flush=True)
    os._exit(0)
