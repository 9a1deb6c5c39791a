"""Site pages for the files beside docs/ that a page links to.

In the repository, a page links to ``../configs/csdnet/demo.py`` and the like.
In the site, a Markdown file becomes a page, and any other file a page with
its text; the links are turned to them. `README.md` is the home page.
"""
import os
import re
from pathlib import Path
from typing import Iterator, Optional

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPO = Path(__file__).resolve().parents[2]
LINK = re.compile(r'(?<=\]\()([^)#\s:]+)((?:#[^)\s]*)?\))')
LANGUAGES = {'.py': 'python', '.sh': 'bash', '.yml': 'yaml', '': 'makefile'}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file that pages link to, and what they link to."""
    waiting = [(path, (REPO / path).read_text(encoding='utf-8'))
               for path in map(_path_of, files.documentation_pages())
               if (REPO / path).is_file()]
    while waiting:
        path, text = waiting.pop()
        for target in _linked_files(path, text):
            page = _page_of(target)
            if page is None or files.get_file_from_path(page):
                continue
            text = (REPO / target).read_text(encoding='utf-8')
            if not target.endswith('.md'):
                text = _listing(target, text)
            files.append(File.generated(config, page, content=text))
            waiting.append((target, text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig,
                     files: Files) -> str:
    """Turn links to files of the repository to their pages."""
    path = _path_of(page.file)

    def turned(match: 're.Match[str]') -> str:
        target = _page_of(_join(path, match[1]))
        if target is None or files.get_file_from_path(target) is None:
            return match[0]
        return os.path.relpath(
            target, os.path.dirname(page.file.src_uri)) + match[2]

    return LINK.sub(turned, markdown)


def _path_of(file: File) -> str:
    """Where a page's text lies in the repository."""
    return file.src_uri if file.generated_by else f'docs/{file.src_uri}'


def _page_of(path: str) -> Optional[str]:
    """Return the page of a file, if it is one of the repository."""
    if path.startswith('..'):
        return None
    if path.startswith('docs/'):
        return path[len('docs/'):]
    if path == 'README.md':
        return 'index.md'
    return path if path.endswith('.md') else f'{path}.md'


def _join(path: str, link: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(path), link))


def _linked_files(path: str, text: str) -> Iterator[str]:
    for link, _ in LINK.findall(text):
        target = _join(path, link)
        if (REPO / target).is_file():
            yield target


def _listing(path: str, text: str) -> str:
    name = os.path.splitext(path)[1]
    return (f'---\ntitle: {os.path.basename(path)}\nhide: [toc]\n---\n\n'
            f'# {path}\n\n````{LANGUAGES.get(name, "text")}\n{text}````\n')
