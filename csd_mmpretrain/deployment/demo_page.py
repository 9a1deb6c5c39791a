"""The page of the demo."""
from html import escape
from typing import TYPE_CHECKING, Sequence, Tuple

from PIL import Image, ImageOps

from csd_mmpretrain.methods.csdnet.figures.demo_prediction import DemoPredictor

if TYPE_CHECKING:
    import gradio

TITLE = 'What CSDNet sees'
TEXT = """Choose an example, or drop an image of your own, and see the five \
likeliest classes of **{name}**. Below them: the image as the network gets \
it, its pattern map, and the mask and the second view that training makes of \
that map."""
COLUMNS, THUMBNAIL = 6, 160
CSS = """
.gradio-container {max-width: 1100px !important; margin: 0 auto !important}
footer {display: none !important}
"""


def make_demo_page(predictor: DemoPredictor, examples: Sequence[str],
                   name: str) -> 'gradio.Blocks':
    """Make the page: choose an image, see the prediction and its reasons.

    Args:
        predictor (DemoPredictor): What explains a file.
        examples (Sequence[str]): Paths of images to offer.
        name (str): How to call the model.

    Returns:
        Blocks: The page, which fetches nothing from elsewhere; launch it
        with :func:`launch_options`.
    """
    import gradio as gr

    def explain(path: str) -> Tuple[dict, Image.Image]:
        if path is None:
            return None, None
        try:
            return predictor(path)
        except ValueError as error:
            raise gr.Error(
                escape(str(error)), duration=None,
                print_exception=False) from None

    def choose(event: gr.SelectData) -> str:
        return examples[event.index]

    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(f'# {TITLE}\n{TEXT.format(name=name)}')
        chosen = gr.State()
        gallery = gr.Gallery(
            [_thumbnail(path) for path in examples],
            show_label=False,
            columns=COLUMNS,
            height=175,
            allow_preview=False,
            interactive=False,
            buttons=[],
            object_fit='cover',
            elem_id='examples',
            visible=bool(examples))
        with gr.Row(equal_height=True):
            upload = gr.File(label='Your image', height=285, elem_id='upload')
            label = gr.Label(
                label='Prediction', num_top_classes=5, elem_id='prediction')
        figure = gr.Image(
            show_label=False,
            format='png',
            interactive=False,
            buttons=[],
            elem_id='figure')
        outputs = [label, figure]
        upload.upload(explain, upload, outputs, api_name='explain')
        gallery.select(choose, None, chosen, api_name=False).then(
            explain, chosen, outputs, api_name=False)
        if examples:
            page.load(
                lambda: explain(examples[0]), None, outputs, api_name=False)
    return page


def launch_options() -> dict:
    """Options of ``Blocks.launch`` for a page without foreign fonts.

    Returns:
        dict: Theme and style.
    """
    import gradio as gr

    fonts = ('system-ui', 'sans-serif')
    return dict(
        theme=gr.themes.Default(font=fonts, font_mono=fonts),
        css=CSS)


def _thumbnail(path: str) -> Image.Image:
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image).convert('RGB')
        return ImageOps.fit(image, (THUMBNAIL, THUMBNAIL))
