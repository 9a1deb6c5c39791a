"""Programs that run one after the other, stop at nothing, and are reported."""
import os
import re
import signal
import subprocess
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Dict, List, NamedTuple, Optional, Sequence

import torch

from csd_mmpretrain.utils.measure import machine_name
from csd_mmpretrain.utils.tables import markdown_table

PACKAGES = ('torch', 'torchvision', 'mmengine', 'onedl-mmengine', 'mmpretrain',
            'onedl-mmpretrain', 'timm', 'numpy', 'csd_mmpretrain')
TAIL = 12


class Part(NamedTuple):
    """A program of a check.

    Attributes:
        title (str): In the report.
        command (Sequence[str]): The program and its arguments.
        limit (float): Seconds after which it is stopped.
        lines (str, optional): A pattern of the lines that are reported.
            Defaults to None, all that it prints, as Markdown.
        environment (dict): Variables that it gets. Defaults to none.
    """

    title: str
    command: Sequence[str]
    limit: float = 180
    lines: Optional[str] = None
    environment: Dict[str, str] = {}


class Outcome(NamedTuple):
    """What came of a part: ``result`` is ``'ok'`` or says why not."""

    part: Part
    result: str
    seconds: float
    text: str


def run_part(part: Part, seconds_left: float = float('inf')) -> Outcome:
    """Run a part in a process of its own, which ends with all its children.

    Args:
        part (Part): It may fail in any way.
        seconds_left (float): It is stopped then, if its own limit is later;
            without any, it is left out. Defaults to infinity.

    Returns:
        Outcome: Of a failed part, the text is the end of all it has printed.
    """
    if seconds_left <= 0:
        return Outcome(part, 'left out, as the time was over', 0., '')
    limit = min(part.limit, seconds_left)
    start = time.monotonic()
    with tempfile.TemporaryFile('w+') as out, \
            tempfile.TemporaryFile('w+') as errors:
        try:
            program = subprocess.Popen(
                part.command, stdout=out, stderr=errors,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **part.environment})
        except OSError as error:
            return Outcome(part, f'failed: {error}', 0., '')
        try:
            code = program.wait(limit)
            result = 'ok' if code == 0 else f'failed with exit code {code}'
        except subprocess.TimeoutExpired:
            result = f'stopped after {limit:.0f} s'
        finally:
            _end_all(program)
        texts = [(file.seek(0), file.read())[1] for file in (out, errors)]
    if result != 'ok':
        lines = '\n'.join(texts).strip().splitlines()[-TAIL:]
    elif part.lines:
        lines = [line for line in '\n'.join(texts).splitlines()
                 if re.search(part.lines, line)]
    else:
        lines = None
    text = texts[0].strip() if lines is None else _block(lines)
    return Outcome(part, result, time.monotonic() - start, text)


def _end_all(program: subprocess.Popen) -> None:
    """Kill a program's process group, where something of it is left."""
    if hasattr(os, 'killpg'):
        try:
            os.killpg(program.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    program.kill()
    program.wait()


def _block(lines: Sequence[str]) -> str:
    return '\n'.join(['```text', *lines, '```']) if lines else ''


def run_parts(parts: Sequence[Part], minutes: float) -> List[Outcome]:
    """Run parts in their order, whatever happens to those before.

    Args:
        parts (Sequence[Part]): The programs.
        minutes (float): What does not fit in this time is left out.

    Returns:
        list[Outcome]: One per part.
    """
    end = time.monotonic() + 60 * minutes
    outcomes = []
    for part in parts:
        print(f'{part.title} ...', flush=True)
        outcomes.append(run_part(part, end - time.monotonic()))
        print(f'    {outcomes[-1].result}, {outcomes[-1].seconds:.0f} s',
              flush=True)
    return outcomes


def machine_table(device: str) -> str:
    """Write the device and the versions of what runs on it as a table.

    Args:
        device (str): ``'cpu'`` or ``'cuda'``.

    Returns:
        str: Markdown.
    """
    rows = [('device', machine_name(device))]
    if device != 'cpu':
        card = torch.cuda.get_device_properties(0)
        rows += [
            ('memory', f'{card.total_memory / 2**30:.1f} GiB'),
            ('compute capability', f'sm_{card.major}{card.minor}'),
            ('CUDA, cuDNN',
             f'{torch.version.cuda}, {torch.backends.cudnn.version()}')]
    for package in PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return markdown_table(('', 'found'), rows)


def format_check(outcomes: Sequence[Outcome]) -> str:
    """Write a table of all parts, then what each has reported.

    Args:
        outcomes (Sequence[Outcome]): Of :func:`run_parts`.

    Returns:
        str: Markdown.
    """
    table = markdown_table(('part', 'result', 's'), [
        (done.part.title, done.result, f'{done.seconds:.0f}')
        for done in outcomes])
    return '\n\n'.join([table, *(
        f'#### {done.part.title}\n\n{done.text}'
        for done in outcomes if done.text)]) + '\n'
