"""The tools from any folder: `csd TOOL ARGS`."""
import ast
import os
import re
import runpy
import sys
from pathlib import Path
from typing import Dict

from csd_mmpretrain.utils.package_files import package_files


def purposes(tools: Dict[str, str]) -> Dict[str, str]:
    """Tell what each tool is for, by the first words of its docstring.

    Args:
        tools (dict[str, str]): Their files by name.

    Returns:
        dict[str, str]: The purpose by name, padded to one width; ``''`` for
        a shell script.
    """
    width = max(map(len, tools))
    texts = {name: ast.get_docstring(ast.parse(Path(path).read_text('utf-8')))
             if path.endswith('.py') else '' for name, path in tools.items()}
    return {name.ljust(width): re.split('[:.]( |$)', text)[0]
            for name, text in texts.items()}


def main() -> None:
    """Run the tool that the command line names with the rest of it."""
    tools = {path.stem: str(path)
             for path in sorted((package_files() / 'tools').rglob('*'))
             if path.suffix in ('.py', '.sh')}
    name, *args = sys.argv[1:] or ['']
    if name not in tools:
        sys.exit('usage: csd TOOL ARGS, where TOOL is one of these; '
                 '`csd TOOL --help` tells the rest.\n  '
                 + '\n  '.join(map(' '.join, purposes(tools).items())))
    if tools[name].endswith('.sh'):
        os.environ['PYTHON'] = sys.executable
        os.execvp('bash', ['bash', tools[name], *args])
    sys.argv = [tools[name], *args]
    runpy.run_path(tools[name], run_name='__main__')


if __name__ == '__main__':
    main()
