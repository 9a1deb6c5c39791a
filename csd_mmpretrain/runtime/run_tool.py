"""The common start of all tools."""
import faulthandler
import logging
import os
import re
import sys
import traceback
from typing import Callable, List

from mmengine.logging import MMLogger

# Raised on purpose, their messages say where the fault is; others need the
# line of code.
TOLD = (FloatingPointError, ImportError, OSError, SyntaxError, ValueError)
# What torch says of a batch that it cannot stack, and what helps.
UNEQUAL = 'stack expects each tensor to be equal size'
SIZES = ('The images of a batch have several sizes. End the pipeline with '
         'what gives one size, such as ResizeEdge and CenterCrop.')


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool, and end it with a message in place of a traceback.

    The traceback goes into the run's log, where there is one; ``--debug``
    prints it. A crash of a library prints where it happened.

    Args:
        main (Callable): Reads the command line and does the work.

    Raises:
        SystemExit: For an error, with its message.

    Example:
        ::

            if __name__ == '__main__':
                run_tool(main)
    """
    faulthandler.enable(sys.__stderr__)
    try:
        main()
    except Exception as error:
        if '--debug' in sys.argv:
            raise
        logs = _log_traceback()
        where = f'is in {", ".join(logs)}; --debug prints' if logs else (
            'is left out; --debug prints')
        sys.exit(f'The traceback {where} it.\n{error_text(error)}')


def error_text(error: Exception) -> str:
    """Write an error as a message for a person.

    Args:
        error (Exception): One that was raised.

    Returns:
        str: Its type and message; the line of code, too, if the message may
        not suffice. Of an error of a data worker the original one.
    """
    text = str(error)
    if isinstance(error, KeyError) and len(error.args) == 1:
        text = str(error.args[0])
    # Data workers send the original traceback as the message.
    worker = re.findall(r'^  File .*(?:\n +.*)*\n(\S(?:.|\n)*)', text, re.M)
    if text.startswith('Caught ') and worker:
        text = worker[-1].strip()
        return f'{text}. {SIZES}' if UNEQUAL in text else text
    if UNEQUAL in text:
        return f'{type(error).__name__}: {text}. {SIZES}'
    text = f'{type(error).__name__}: {text}'.rstrip(': ')
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = frame.line or ''
    told = isinstance(error, OSError) or line.startswith('raise ')
    if isinstance(error, TOLD) and error.args and told:
        return text
    return f'{text} ({frame.filename}, line {frame.lineno}: {line})'


def _log_traceback() -> List[str]:
    """Write the traceback into the files of the current log."""
    logger = MMLogger.get_current_instance()
    files = [handler for handler in logger.handlers
             if os.path.isfile(getattr(handler.stream, 'name', ''))]
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, 'The run has failed.', (),
        sys.exc_info())
    for handler in files:
        handler.handle(record)
    return [handler.stream.name for handler in files]
