"""Fonts for the class names of all languages."""
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Callable, List

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Taken where they are installed, in this order.
FALLBACKS = (
    'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Noto Sans CJK KR',
    'Noto Sans SC', 'Noto Sans JP', 'Noto Sans KR', 'Source Han Sans SC',
    'Source Han Sans', 'WenQuanYi Zen Hei', 'WenQuanYi Micro Hei',
    'Droid Sans Fallback', 'Microsoft YaHei', 'SimHei', 'SimSun',
    'PingFang SC', 'Heiti SC', 'STHeiti', 'Hiragino Sans', 'Yu Gothic',
    'Meiryo', 'MS Gothic', 'IPAexGothic', 'IPAGothic', 'TakaoGothic',
    'Malgun Gothic', 'Apple SD Gothic Neo', 'AppleGothic', 'NanumGothic',
    'Baekmuk Gulim', 'Arial Unicode MS', 'Noto Sans Thai',
    'Noto Sans Devanagari', 'Noto Sans Bengali', 'Noto Sans Tamil')


def with_fonts(draw: Callable[..., 'Figure']) -> Callable[..., 'Figure']:
    """Let a function that draws a figure write Chinese, Japanese, Korean, ...

    Characters that matplotlib's own font lacks come from an installed one.
    One warning names those that no font has.

    Args:
        draw (Callable): Returns a figure.

    Example:
        ::

            @with_fonts
            def draw(names):
                ...
    """

    @wraps(draw)
    def with_fallbacks(*args, **kwargs) -> 'Figure':
        from matplotlib import rc_context, rcParams
        # One warning follows, in place of one for each character.
        warnings.filterwarnings('ignore', r'Glyph \d+ .* missing from')
        with rc_context({'font.family': [*rcParams['font.family'],
                                         *_installed()]}):
            figure = draw(*args, **kwargs)
        missing = _missing(figure)
        if missing:
            warnings.warn(
                f'No installed font has the characters {missing[:20]!r}, so '
                'the figure shows boxes. Install one that has, such as Noto '
                'Sans CJK (`apt install fonts-noto-cjk`), and delete '
                "matplotlib's cache of fonts (the folder that "
                'matplotlib.get_cachedir() returns).', stacklevel=2)
        return figure

    return with_fallbacks


def _installed() -> List[str]:
    from matplotlib.font_manager import fontManager
    known = {font.name for font in fontManager.ttflist}
    return [name for name in FALLBACKS if name in known]


def _missing(figure: 'Figure') -> str:
    """The characters of a figure's texts that none of their fonts has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text
    missing = set()
    for text in figure.findobj(Text):
        letters = {letter for letter in text.get_text()
                   if letter > '\u024f' and letter.isprintable()}
        if letters:
            for family in text.get_fontproperties().get_family():
                file = get_font(findfont(FontProperties(family=[family])))
                letters -= {*map(chr, file.get_charmap())}
        missing |= letters
    return ''.join(sorted(missing))
