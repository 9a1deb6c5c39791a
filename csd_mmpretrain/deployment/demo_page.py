"""The page of the demo."""
from contextlib import nullcontext
from html import escape
from typing import TYPE_CHECKING, Callable, Optional, Sequence

if TYPE_CHECKING:
    import gradio


# The largest file that may be uploaded, and how many seconds it is kept.
MAX_FILE_SIZE, KEPT = '20mb', 600


def make_demo_page(predict: Callable[[str], tuple],
                   examples: Sequence[str],
                   title: str,
                   text: str,
                   tabs: Sequence[str] = ('', )) -> 'gradio.Blocks':
    """Make a page on which a person chooses an image and sees its prediction.

    Args:
        predict (Callable): Takes an image file; returns the probability of
            each class, and a picture (path, array or PIL image) for each of
            ``tabs``. It raises ``ValueError`` with a message for the person.
        examples (Sequence[str]): Image files to offer; the first is explained
            at once.
        title (str): Heading of the page.
        text (str): Markdown below it.
        tabs (Sequence[str]): Names of the pictures, each of which is a tab
            if there are several. Defaults to ``('', )``, one picture.

    Returns:
        Blocks: The page, for :func:`launch_page`; several fit into one
        ``gradio.TabbedInterface(pages, names)``.
    """
    import gradio as gr
    from gradio.utils import is_in_or_equal

    def explain(file: Optional[dict]) -> tuple:
        if file is None:
            return (None, ) * (1 + len(tabs))
        # gr.Image lets a request name any file of the machine.
        if not is_in_or_equal(file['path'] or '/', chosen.GRADIO_CACHE):
            raise gr.Error('Upload an image.', print_exception=False)
        try:
            return predict(file['path'])
        except ValueError as error:
            raise gr.Error(
                escape(str(error)), duration=None,
                print_exception=False) from None

    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.Markdown(f'# {title}\n{text}')
        with gr.Row(equal_height=True):
            chosen = gr.Image(
                examples[0] if examples else None, label='Your image',
                sources=['upload', 'clipboard'], type='filepath', height=285,
                elem_id='upload')
            label = gr.Label(
                label='Prediction', num_top_classes=5, elem_id='prediction')
        if examples:
            gr.Examples(list(examples), chosen, elem_id='examples')
        figures = []
        for i, name in enumerate(tabs):
            with gr.Tab(name) if len(tabs) > 1 else nullcontext():
                figures.append(gr.Image(
                    show_label=False, format='png', interactive=False,
                    buttons=[], elem_id=f'figure{i or ""}'))
        # Without gradio's preprocessing, `predict` gets the file untouched.
        # What is chosen while another image is explained is not dropped.
        gr.on([page.load, chosen.change], explain, chosen,
              [label, *figures], preprocess=False,
              trigger_mode='always_last', api_name='explain')
    return page


def launch_page(page: 'gradio.Blocks', **options) -> None:
    """Serve a page, which fetches nothing from elsewhere, until it is stopped.

    Uploads and drawn pictures are deleted after ten minutes, and when the
    page is stopped.

    Args:
        page (Blocks): Of :func:`make_demo_page`.
        **options: Of gradio's ``launch``; ``max_file_size`` of an upload is
            20 MB by default.
    """
    import gradio as gr

    fonts = ('system-ui', 'sans-serif')
    page.delete_cache = (KEPT // 10, KEPT)
    page.launch(
        theme=gr.themes.Default(font=fonts, font_mono=fonts),
        footer_links=[],
        show_error=True,
        ssr_mode=False,
        **{'max_file_size': MAX_FILE_SIZE, **options})
