"""Photos of known classes with labels, and of novel ones without."""
from typing import Optional, Sequence, Union

from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from csd_mmpretrain.utils.wording import first_names

from .class_split import Classes, choose_classes, join_labelled, renumber
from .samples import list_infos, with_infos


@DATASETS.register_module()
def NovelClasses(dataset: Union[dict, BaseDataset, Sequence[dict]],
                 known: Classes,
                 novel: Optional[Classes] = None,
                 num_novel: Optional[int] = None,
                 hide: bool = True) -> BaseDataset:
    """Take the labels of novel classes away, and number known classes first.

    A loss cannot read what is not there: with ``hide`` the images of novel
    classes have no label, in no field.

    Args:
        dataset (dict | BaseDataset | Sequence[dict]): One with labels, or
            several of the same classes, whose images are joined. Those
            without labels (``with_label=False``) join the unlabelled images.
            The first labelled one's pipeline is that of all.
        known (str | PathLike | Sequence[int | str]): The labelled classes,
            as in :func:`choose_classes`.
        novel (str | PathLike | Sequence[int | str], optional): The others,
            in their order. Defaults to None, all that are not known.
        num_novel (int, optional): Clusters that get names. Defaults to None,
            the number of novel classes; it is never less.
        hide (bool): False keeps all labels, for an evaluation: those of
            novel classes come after the known ones. Defaults to True.

    Returns:
        BaseDataset: Images of known classes, then the others.
        ``metainfo['classes']`` names the known classes, then the clusters
        ``novel-0``, ...; ``num_known`` tells how many are known, and
        ``novel_classes`` names the novel classes, in an evaluation alone.

    Raises:
        TypeError: If ``dataset`` is a wrapper of another.
        ValueError: If a class is both known and novel, a part has no image,
            or labels are missing; as
            :func:`~csd_mmpretrain.datasets.class_split.ClassSplit`.

    Source: novel class discovery as in UNO (Fini et al. 2021). That novel
    images have no label, instead of one that nobody reads, is a choice.

    Example:
        >>> cub = dict(type='CUB', data_root='data/CUB_200_2011')
        >>> photos = DATASETS.build(dict(
        ...     type='NovelClasses', known='first-half', dataset=cub))
    """
    found = [DATASETS.build(part) if isinstance(part, dict) else part
             for part in (dataset if isinstance(dataset, (list, tuple))
                          else [dataset])]
    without = [part for part in found if _lacks_labels(part)]
    if len(without) == len(found) or without and not hide:
        raise ValueError(
            f'NovelClasses: {len(without)} of {len(found)} datasets have no '
            'labels; known classes need them, and so does an evaluation '
            '(hide=False). Give a dataset with one class per image, and those '
            'without labels for the training alone.')
    parts, names = join_labelled(
        'NovelClasses', [part for part in found if part not in without])
    known = choose_classes(known, names, 'NovelClasses: known')
    if novel is None:
        novel = [i for i in range(len(names)) if i not in set(known)]
    else:
        novel = choose_classes(novel, names, 'NovelClasses: novel')
    both = [names[i] for i in novel if i in set(known)]
    if both:
        raise ValueError(
            f'NovelClasses: {first_names(both, 5)} would be known and novel. '
            'Give each class to `known` or to `novel`.')
    infos = renumber(parts, [*known, *novel])
    labelled = [info for info in infos if info['gt_label'] < len(known)]
    others = [info for info in infos if info['gt_label'] >= len(known)]
    if hide:
        for info in others:
            del info['gt_label']
        others += [info for part in without for info in list_infos(part)]
    for title, part in (('known', labelled), ('novel', others)):
        if not part:
            raise ValueError(
                f'NovelClasses: there is no image of a {title} class. Choose '
                f'other classes than {len(known)} known and {len(novel)} '
                'novel ones, or add a dataset.')
    clusters = range(max(len(novel), num_novel or 0))
    metainfo = dict(
        classes=(*(names[i] for i in known),
                 *(f'novel-{i}' for i in clusters)),
        num_known=len(known))
    if not hide:
        metainfo['novel_classes'] = tuple(names[i] for i in novel)
    return with_infos(parts[0][0], [*labelled, *others], **metainfo)


def _lacks_labels(dataset: BaseDataset) -> bool:
    """Whether a dataset was made without labels."""
    infos = list_infos(dataset)
    return bool(infos) and all(info.get('gt_label') is None for info in infos)
