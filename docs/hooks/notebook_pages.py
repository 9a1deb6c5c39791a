"""A page for each notebook in docs/, with the outputs that it holds."""
import os

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and their pictures; the notebooks can be downloaded."""
    for file in list(files):
        name, suffix = os.path.splitext(file.src_uri)
        if suffix != '.ipynb':
            continue
        text, extra = MarkdownExporter().from_filename(file.abs_src_path)
        link = f'[Download this notebook]({os.path.basename(file.src_uri)})\n'
        pictures = extra['outputs']
        for output in pictures:
            text = text.replace(f']({output})', f']({_of(name, output)})')
            files.append(File.generated(
                config,
                f'{os.path.dirname(name)}/{_of(name, output)}',
                content=pictures[output]))
        files.append(
            File.generated(config, f'{name}.md', content=f'{text}\n{link}'))
    return files


def on_page_markdown(markdown: str, page: Page, **_) -> str:
    """Turn links to notebooks to their pages."""
    if page.file.generated_by:
        return markdown
    return markdown.replace('.ipynb)', '.md)')


def _of(name: str, output: str) -> str:
    return f'{os.path.basename(name)}_{output}'
