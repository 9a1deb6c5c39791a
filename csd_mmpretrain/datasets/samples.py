"""The files and labels behind any mmpretrain dataset."""
from typing import Any, Iterator, List, NamedTuple, Optional

from torch.utils.data import Dataset


class Sample(NamedTuple):
    """What a dataset knows of one image before it is loaded.

    Args:
        path (str | None): The image file, if it is a local one.
        label (Any): ``gt_label`` as the dataset has it: an int, a list of
            ints, or None if there is none.
    """

    path: Optional[str]
    label: Any


def source_datasets(dataset: Dataset) -> Iterator[Dataset]:
    """The datasets inside wrappers such as ConcatDataset or KFoldDataset.

    Args:
        dataset (Dataset): Any dataset, wrapped any number of times.

    Yields:
        Dataset: Those that wrap no other.
    """
    inner = getattr(dataset, 'datasets', None)
    if inner is None and hasattr(dataset, 'dataset'):
        inner = [dataset.dataset]
    if not inner:
        yield dataset
        return
    for part in inner:
        yield from source_datasets(part)


def list_samples(dataset: Dataset) -> List[Sample]:
    """List the samples of a dataset, without loading images.

    Images that a wrapper repeats are listed once.

    Args:
        dataset (Dataset): Any dataset. One that has no ``get_data_info``
            contributes nothing.

    Returns:
        list[Sample]: Files and labels, in order.
    """
    samples = []
    for source in source_datasets(dataset):
        if not hasattr(source, 'get_data_info'):
            continue
        local = _reads_local_files(source)
        for index in range(len(source)):
            info = source.get_data_info(index)
            path = info.get('img_path')
            if not local or not path or '://' in str(path):
                path = None
            samples.append(Sample(path and str(path), info.get('gt_label')))
    return samples


def _reads_local_files(dataset: Dataset) -> bool:
    """Whether no transform of a dataset reads through another backend."""
    pipeline = getattr(dataset, 'pipeline', None)
    for transform in getattr(pipeline, 'transforms', []):
        for name in ('backend_args', 'file_client_args'):
            args = getattr(transform, name, None) or {}
            if args.get('backend', 'local') not in ('local', 'disk'):
                return False
    return True
