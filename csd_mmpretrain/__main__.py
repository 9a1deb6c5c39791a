"""The tools from any folder: `csd TOOL ARGS`."""
import os
import runpy
import sys

from csd_mmpretrain.utils.package_files import package_files


def main() -> None:
    """Run the tool that the command line names with the rest of it."""
    tools = {path.stem: str(path)
             for path in sorted((package_files() / 'tools').rglob('*'))
             if path.suffix in ('.py', '.sh')}
    name, *args = sys.argv[1:] or ['']
    if name not in tools:
        sys.exit('usage: csd TOOL ARGS, where TOOL is one of these; '
                 '`csd TOOL --help` tells the rest.\n  '
                 + '\n  '.join(tools))
    if tools[name].endswith('.sh'):
        os.environ['PYTHON'] = sys.executable
        os.execvp('bash', ['bash', tools[name], *args])
    sys.argv = [tools[name], *args]
    runpy.run_path(tools[name], run_name='__main__')


if __name__ == '__main__':
    main()
