"""Tables and figures of a fitted matrix."""
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
import torch

from csd_mmpretrain.evaluation.confusion_pairs import (
    ConfusedPair,
    worst_pairs,
)
from csd_mmpretrain.evaluation.feature_data import LabelledImages
from csd_mmpretrain.visualization.explanation import Explanation
from csd_mmpretrain.visualization.explanation_figure import explanation_figure
from csd_mmpretrain.visualization.explanation_report import write_report
from csd_mmpretrain.visualization.image_grid import (
    DARK,
    GRAY,
    Panel,
    draw_grid,
)

from .explain import EpicExplainer
from .fit_classifier import compare_logits
from .fitted_epic import FittedEpic
from .training_maps import map_batches

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIR_CHANNELS = 5
Table = Tuple[str, Sequence[str], List[Sequence[Any]]]


class Summary(NamedTuple):
    """Prototypes of all channels in a few numbers.

    Attributes:
        mean (float): Mean purity of all pairs of prototype and channel.
        quartiles (list[float]): Of the channels' mean purities.
        dead (float): Fraction of channels that no training image excites.
        distinct (int): Different images among the prototypes.
    """

    mean: float
    quartiles: List[float]
    dead: float
    distinct: int


def summaries(epic: FittedEpic) -> Dict[str, Summary]:
    """Summarize the prototypes before and after the matrix.

    Args:
        epic (FittedEpic): The fitted matrix.

    Returns:
        dict[str, Summary]: ``'before'`` and ``'after'``.
    """
    return {
        name: Summary(
            found.purity.mean().item(),
            found.purity.mean(1).quantile(
                torch.tensor([.25, .5, .75])).tolist(),
            dead.float().mean().item(), len(found.images.unique()))
        for name, found, dead in (('before', epic.before, epic.dead_before),
                                  ('after', epic.after, epic.dead_after))
    }


def fit_table(epic: FittedEpic) -> Table:
    """Tabulate what the fit has changed.

    Args:
        epic (FittedEpic): The fitted matrix.

    Returns:
        tuple: Caption, header and rows.
    """
    shown = epic.after.images.size(1)
    rows = [[
        name, summary.mean,
        ' / '.join(f'{value:.3f}' for value in summary.quartiles),
        f'{summary.dead:.1%}', f'{summary.distinct} of {len(epic.files)}'
    ] for name, summary in summaries(epic).items()]
    return (f'Channels before and after the matrix, {shown} prototypes each; '
            f'predictions {epic.unchanged}',
            ('channels', 'mean purity', 'quartiles of channels',
             'dead channels', 'images that are prototypes'), rows)


def logit_table(explanations: Sequence[Explanation]) -> Table:
    """Tabulate which share of the logit the shown channels make.

    Args:
        explanations (Sequence[Explanation]): Of some images.

    Returns:
        tuple: Caption, header and rows.
    """
    rows = []
    for explanation in explanations:
        points = sum(reason.points for reason in explanation.reasons)
        rows.append([
            Path(explanation.source).name, explanation.class_name,
            explanation.true_class, f'{explanation.score:.1%}',
            explanation.logit, points, explanation.rest,
            f'{points / explanation.logit:.0%}' if explanation.logit > 0
            else ''
        ])
    return ('Explained images: the shown channels and all the rest (other '
            'channels, the bias) make the logit',
            ('image', 'predicted', 'true', 'probability', 'logit',
             'shown channels', 'rest', 'share of the logit'), rows)


def class_channels(weight: torch.Tensor, num: int) -> List[List[int]]:
    """List the channels that each class uses.

    Args:
        weight (Tensor): A', (K, D).
        num (int): Channels per class at most.

    Returns:
        list[list[int]]: Those with the largest weights, by class.
    """
    return weight.topk(min(num, weight.size(1)), dim=1).indices.tolist()


def class_table(explainer: EpicExplainer,
                num: int = PAIR_CHANNELS) -> Table:
    """Tabulate the channels that each class uses.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        num (int): Channels per class. Defaults to 5.

    Returns:
        tuple: Caption, header and rows.
    """
    weight = explainer.weight
    rows = [[name, ', '.join(f'{channel} ({weights[channel]:.3f})'
                             for channel in channels)]
            for name, channels, weights in zip(
                explainer.epic.classes, class_channels(weight, num), weight)]
    return ('Channels with the largest weights of each class',
            ('class', 'channels (weight)'), rows)


def pair_table(explainer: EpicExplainer, pairs: Sequence[ConfusedPair],
               num: int = PAIR_CHANNELS) -> Table:
    """Tabulate which channels confused classes share.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        pairs (Sequence[ConfusedPair]): Of the test images.
        num (int): Channels per class. Defaults to 5.

    Returns:
        tuple: Caption, header and rows.
    """
    used, names = class_channels(explainer.weight, num), explainer.epic.classes

    def write(channels: Sequence[int]) -> str:
        return ', '.join(map(str, channels)) or '-'

    rows = []
    for pair in pairs:
        true, predicted = used[pair.true], used[pair.predicted]
        rows.append([
            names[pair.true], names[pair.predicted],
            f'{pair.count} of {pair.total}',
            write([k for k in true if k not in predicted]),
            write([k for k in true if k in predicted]),
            write([k for k in predicted if k not in true])
        ])
    return (f'Confused classes, and the {num} channels that each uses most',
            ('true', 'predicted', 'images', 'only the true class', 'both',
             'only the predicted class'), rows)


def purity_figure(epic: FittedEpic) -> 'Figure':
    """Draw the purity by step, and by channel before and after.

    Args:
        epic (FittedEpic): The fitted matrix.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout='constrained')
    curve, spread = figure.subplots(1, 2)
    start = 0
    for entry in epic.curve:
        end = start + len(entry['steps'])
        curve.plot(range(start, end), entry['steps'], color='C0', lw=1)
        curve.plot(start, entry['before'], 'o', color='C1', ms=4)
        curve.annotate(entry['prototypes'], (start, entry['before']), (2, 4),
                       textcoords='offset points', size=7)
        start = end
    curve.set(xlabel='step', ylabel='mean purity of the batch',
              title='Each round, with its prototypes per channel')
    for name, found in (('before', epic.before), ('after', epic.after)):
        values = found.purity.mean(1).numpy()
        spread.hist(values, bins=40, alpha=0.6,
                    label=f'{name}: mean {values.mean():.3f}')
    spread.set(xlabel='mean purity of a channel', ylabel='channels',
               title='Channels before and after')
    spread.legend(frameon=False)
    for axes in (curve, spread):
        axes.title.set_size(9)
        axes.spines[['top', 'right']].set_visible(False)
    return figure


def channel_page(explainer: EpicExplainer, channel: int,
                 num: int = 5) -> 'Figure':
    """Draw the prototypes of a channel before and after the matrix.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        channel (int): Its number.
        num (int): Prototypes at most. Defaults to 5.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.
    """
    rows = []
    for name, plain, found in (('before', True, explainer.epic.before),
                               ('after', False, explainer.epic.after)):
        patches = explainer.prototype_patches(channel, num, plain)
        mean = found.purity[channel].mean()
        rows.append([
            Panel(patch.image,
                  '' if i else f'{name}: mean purity {mean:.3f}',
                  [(patch.class_name, DARK), (f'purity {purity:.3f}', GRAY)],
                  boxes=[patch.box])
            for i, (patch, purity) in enumerate(
                zip(patches, found.purity[channel].tolist()))
        ])
    return draw_grid(rows, cell=1.3, square=True,
                     title=f'Channel {channel} before and after the matrix')


def class_page(explainer: EpicExplainer, label: int, channels: int = 4,
               num: int = 5) -> 'Figure':
    """Draw the channels that a class uses, a row each.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        label (int): The class.
        channels (int): Those with the largest weights. Defaults to 4.
        num (int): Prototypes of a channel at most. Defaults to 5.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.
    """
    used = class_channels(explainer.weight, channels)[label]
    return draw_grid(
        [_class_row(explainer, label, channel, num) for channel in used],
        cell=1.3, square=True, title='The channels with the largest weights '
        f'of {explainer.epic.classes[label]}')


def pair_page(explainer: EpicExplainer, pair: ConfusedPair,
              channels: int = 3, num: int = 3) -> 'Figure':
    """Draw the channels that two confused classes use, side by side.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        pair (ConfusedPair): The classes.
        channels (int): Of each class. Defaults to 3.
        num (int): Prototypes of a channel at most. Defaults to 3.

    Returns:
        Figure: Ready for ``figure.savefig(path)``.
    """
    names = explainer.epic.classes
    used = class_channels(explainer.weight, channels)
    rows = [[*_class_row(explainer, pair.true, a, num), None,
             *_class_row(explainer, pair.predicted, b, num)]
            for a, b in zip(used[pair.true], used[pair.predicted])]
    return draw_grid(
        rows, cell=1.3, square=True,
        title=f'{names[pair.true]} (true, left) taken for '
        f'{names[pair.predicted]} (right) in {pair.count} of {pair.total} '
        'images')


def _class_row(explainer: EpicExplainer, label: int, channel: int,
               num: int) -> List[Panel]:
    weight = explainer.weight[label, channel]
    title = (f'{explainer.epic.classes[label]}: channel {channel}, weight '
             f'{weight:.3f}')
    return [Panel(patch.image, '' if i else title,
                  [(patch.class_name, DARK)], boxes=[patch.box])
            for i, patch in enumerate(
                explainer.prototype_patches(channel, num))]


def confused_pairs(explainer: EpicExplainer, images: LabelledImages,
                   num: int) -> List[ConfusedPair]:
    """Find the classes that the classifier confuses most.

    It prints whether predictions after the matrix are the classifier's own.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        images (LabelledImages): The test images.
        num (int): Pairs at most; 0 computes nothing.

    Returns:
        list[ConfusedPair]: By images.
    """
    if num < 1:
        return []
    classifier = explainer.classifier
    batches = [(means, logits) for means, logits, _ in map_batches(
        classifier, images)]
    means, logits = map(torch.cat, zip(*batches))
    matrix = explainer.epic.matrix.to(means.device)
    print('Test images', compare_logits(classifier, matrix, means, logits))
    counts = np.zeros((logits.size(1), ) * 2, int)
    labels = [info['gt_label'] for info in images.loader.dataset.infos]
    np.add.at(counts, (labels, logits.argmax(1).tolist()), 1)
    return worst_pairs(counts, num)


def write_pages(explainer: EpicExplainer,
                explanations: Sequence[Explanation],
                cams: Optional[Sequence[np.ndarray]],
                pairs: Sequence[ConfusedPair], num_channels: int, shown: int,
                folder: Path) -> List[Path]:
    """Write the report, and its figures as files of their own.

    Args:
        explainer (EpicExplainer): Of the fitted matrix.
        explanations (Sequence[Explanation]): Of some images; may be empty.
        cams (Sequence[ndarray], optional): Grad-CAM of each, (H, W).
        pairs (Sequence[ConfusedPair]): Confused classes; may be empty.
        num_channels (int): Channels to show before and after at most.
        shown (int): Prototypes of a channel at most.
        folder (Path): Gets the files.

    Returns:
        list[Path]: The files, the report first.
    """
    epic = explainer.epic
    used = [int(reason.name.split()[-1]) for explanation in explanations
            for reason in explanation.reasons]
    purest = epic.after.purity.mean(1).argsort(descending=True).tolist()
    channels = list(dict.fromkeys(used + purest))[:num_channels]
    labels = dict.fromkeys(epic.classes.index(explanation.class_name)
                           for explanation in explanations)
    pages = [
        ('purity', 'Purity', purity_figure(epic)),
        *((f'class_{label}', f'Class {epic.classes[label]}',
           class_page(explainer, label, num=shown)) for label in labels),
        *((f'confused_classes_{i}', f'Confused classes {i}',
           pair_page(explainer, pair)) for i, pair in enumerate(pairs, 1)),
        *((f'channel_{channel}', f'Channel {channel}',
           channel_page(explainer, channel, shown)) for channel in channels)
    ]
    tables = [fit_table(epic), class_table(explainer)]
    if pairs:
        tables.insert(1, pair_table(explainer, pairs))
    if explanations:
        tables.insert(1, logit_table(explanations))
    files = [folder / 'report.html']
    write_report(str(files[0]), 'EPIC: a classifier explained by prototypes',
                 explanations, tables, [page[1:] for page in pages], cams)
    figures = {
        f'explanation_{i}': explanation_figure(explanation,
                                               cams and cams[i - 1])
        for i, explanation in enumerate(explanations, 1)
    }
    figures.update((name, figure) for name, _, figure in pages)
    for name, figure in figures.items():
        files.append(folder / f'{name}.png')
        figure.savefig(files[-1], dpi=150)
    return files
