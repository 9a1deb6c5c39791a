"""A part of a dataset's classes, numbered anew."""
from os import PathLike
from pathlib import Path
from typing import List, Sequence, Tuple, Union

from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS

from csd_mmpretrain.utils.wording import first_names

from .same_classes import check_same_classes, dataset_classes
from .samples import labelled_dataset, with_infos

PARTS = {
    'all': range,
    'first-half': lambda count: range((count + 1) // 2),
    'last-half': lambda count: range((count + 1) // 2, count),
    'even': lambda count: range(0, count, 2),
    'odd': lambda count: range(1, count, 2),
}
Classes = Union[str, PathLike, Sequence[Union[int, str]]]
LabelledDataset = Tuple[BaseDataset, List[int]]


def choose_classes(classes: Classes,
                   names: Sequence[str],
                   option: str = 'ClassSplit: classes') -> List[int]:
    """Choose classes by a rule, by their numbers or by their names.

    Args:
        classes (str | PathLike | Sequence[int | str]): ``'all'``,
            ``'first-half'`` (the larger one of an odd number),
            ``'last-half'``, ``'even'`` or ``'odd'`` (numbers from 0); a list
            of numbers and names; or a text file with a name in each line.
        names (Sequence[str]): All classes, by number.
        option (str): What names the classes, for errors. Defaults to
            ``'ClassSplit: classes'``.

    Returns:
        list[int]: Numbers of the chosen classes, in the order of the list.

    Raises:
        FileNotFoundError: If there is no such rule and no such file.
        ValueError: If a class is unknown or named twice, or none is left.

    Example:
        >>> choose_classes('last-half', 'abcde')
        [3, 4]
        >>> choose_classes(['d', 0], 'abcde')
        [3, 0]
    """
    if isinstance(classes, str) and classes in PARTS:
        classes = list(PARTS[classes](len(names)))
    elif isinstance(classes, (str, PathLike)):
        if not Path(classes).is_file():
            raise FileNotFoundError(
                f'{option}={str(classes)!r} is neither one of '
                f'{", ".join(PARTS)} nor a file of class names. Choose one '
                'of them, or give a list.')
        lines = Path(classes).read_text(encoding='utf-8').splitlines()
        classes = [line.strip() for line in lines if line.strip()]
    numbers = {name: number for number, name in enumerate(names)}
    chosen = [
        numbers.get(item, -1) if isinstance(item, str) else int(item)
        for item in classes
    ]
    unknown = [str(item) for item, number in zip(classes, chosen)
               if not 0 <= number < len(names)]
    if unknown:
        raise ValueError(
            f'{option} has {first_names(unknown, 5)}, but the '
            f'dataset has the {len(names)} classes {first_names(names, 5)}. '
            f'Give their names, or numbers of 0..{len(names) - 1}.')
    twice = [names[number] for number in dict.fromkeys(chosen)
             if chosen.count(number) > 1]
    if twice:
        raise ValueError(f'{option} names {first_names(twice, 5)} '
                         'more than once. Name each class once.')
    if not chosen:
        raise ValueError(
            f'{option}={classes!r} leaves none of the '
            f'{len(names)} classes. Choose at least one.')
    return chosen


def join_labelled(owner: str, datasets: Sequence[Union[dict, BaseDataset]]
                  ) -> Tuple[List[LabelledDataset], Sequence[str]]:
    """Build datasets of the same classes, with one class per image.

    Args:
        owner (str): What takes a part of them, for errors.
        datasets (Sequence[dict | BaseDataset]): At least one.

    Returns:
        tuple: Each dataset with its labels, (N,); and the names of the
        classes, their numbers where the first dataset has none.

    Raises:
        TypeError, ValueError: As :class:`ClassSplit`.
    """
    parts = [labelled_dataset(owner, dataset) for dataset in datasets]
    dataset, labels = parts[0]
    names = dataset_classes(dataset) or [
        str(label) for label in range(max(labels, default=-1) + 1)
    ]
    for other, _ in parts[1:]:
        check_same_classes(names, dataset_classes(other), 'joined')
    return parts, names


def renumber(parts: Sequence[LabelledDataset],
             chosen: Sequence[int]) -> List[dict]:
    """List the images of some classes with new labels.

    Args:
        parts (Sequence[tuple]): Datasets with their labels.
        chosen (Sequence[int]): Classes; the new label is the place here.

    Returns:
        list[dict]: What is known of each image, in order.
    """
    numbers = {old: new for new, old in enumerate(chosen)}
    return [dict(dataset.get_data_info(i), gt_label=numbers[label])
            for dataset, labels in parts for i, label in enumerate(labels)
            if label in numbers]


@DATASETS.register_module()
def ClassSplit(dataset: Union[dict, BaseDataset, Sequence[dict]],
               classes: Classes,
               unseen: bool = False) -> BaseDataset:
    """Take a part of the classes of any dataset, and number them from 0.

    Args:
        dataset (dict | BaseDataset | Sequence[dict]): The whole dataset, with
            one class per image, or several of the same classes, such as the
            splits of a release, whose images are joined; the first one's
            pipeline is that of all.
        classes (str | PathLike | Sequence[int | str]): As in
            :func:`choose_classes`; the new label of a class is its place
            there.
        unseen (bool): Whether no training may see these classes. If so, the
            checks before the first step and of a checkpoint refuse a training
            that has one of them. Defaults to False: they demand the classes
            of the training.

    Returns:
        BaseDataset: The dataset with the images of the chosen classes alone.
        ``metainfo['classes']`` names them. A dataset that has no names gets
        the old numbers as names.

    Raises:
        TypeError: If ``dataset`` is a wrapper of another.
        ValueError: If an image has not one class, no image is left, or joined
            datasets have other classes; as :func:`choose_classes`.

    Source: the splits of zero-shot retrieval (Song et al. 2016) and of novel
    class discovery (Vaze et al. 2022).

    Example:
        >>> cub = dict(type='CUB', data_root='data/CUB_200_2011')
        >>> seen = DATASETS.build(
        ...     dict(type='ClassSplit', classes='first-half', dataset=cub))
    """
    parts, names = join_labelled(
        'ClassSplit',
        dataset if isinstance(dataset, (list, tuple)) else [dataset])
    chosen = choose_classes(classes, names)
    infos = renumber(parts, chosen)
    dataset, _ = parts[0]
    if not infos:
        raise ValueError(
            f'ClassSplit: {type(dataset).__name__} has no image of the '
            f'{len(chosen)} chosen classes, such as {names[chosen[0]]!r}. '
            'Choose others.')
    return with_infos(
        dataset, infos, classes=tuple(names[number] for number in chosen),
        unseen_classes=unseen)
