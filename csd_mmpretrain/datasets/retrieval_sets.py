"""Sets of products for retrieval, whose test classes are unseen."""
import os
from pathlib import Path
from typing import Dict, List, Sequence

from mmpretrain.registry import DATASETS

from .released_dataset import ReleasedDataset


def _rows(path: str, skipped: int, columns: int,
          page: str) -> List[List[str]]:
    """Read a table of words."""
    lines = Path(path).read_text(encoding='utf-8').splitlines()
    rows = [(number, line.split())
            for number, line in enumerate(lines, start=1)
            if number > skipped and line.strip()]
    for number, cells in rows:
        if len(cells) != columns:
            raise ValueError(
                f'{path}, line {number}: found {len(cells)} words, expected '
                f'{columns}. Unpack the release again: {page}')
    return [cells for _, cells in rows]


class _ProductDataset(ReleasedDataset):
    """A released set whose classes are items that a list names."""

    def _set_classes(self, items: Sequence[str]) -> Dict[str, int]:
        """Number the items as they come; those of the test are unseen."""
        names = tuple(dict.fromkeys(items))
        self._metainfo.setdefault('classes', names)
        self._metainfo.setdefault('unseen_classes', self.split == 'test')
        return {name: number for number, name in enumerate(names)}


@DATASETS.register_module()
class OnlineProducts(_ProductDataset):
    """Stanford Online Products: 22634 products of an online shop.

    59551 training images of 11318 products, and 60502 test images of 11316
    others. The folder::

        data_root
        ├── Ebay_train.txt   <image id> <class id> <super class id> <path>
        ├── Ebay_test.txt
        ├── bicycle_final
        └── ...

    Args:
        data_root (str): The unpacked folder ``Stanford_Online_Products``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`ReleasedDataset`, for errors as well.

    Source: Song et al. 2016, Deep Metric Learning via Lifted Structured
    Feature Embedding.

    Example:
        >>> test_data = OnlineProducts('data/Stanford_Online_Products', 'test')
    """

    PAGE = 'https://cvgl.stanford.edu/projects/lifted_struct/'
    LAYOUT = 'Ebay_train.txt, Ebay_test.txt and a folder for each kind'
    FOLDERS = ('Stanford_Online_Products', )

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        super().__init__(
            data_root, split, ann_file=f'Ebay_{split}.txt', **kwargs)

    def load_data_list(self) -> List[dict]:
        self.check_folder(self.ann_file)
        rows = _rows(self.ann_file, 1, 4, self.PAGE)
        numbers = self._set_classes([product for _, product, _, _ in rows])
        return [
            dict(img_path=os.path.join(self.data_root, path),
                 gt_label=numbers[product])
            for _, product, _, path in rows
        ]


@DATASETS.register_module()
class InShopRetrieval(_ProductDataset):
    """In-Shop Clothes Retrieval: 7982 items of a shop, queries and gallery.

    25882 training images of 3997 items; the test is 14218 queries and 12612
    gallery images of 3985 others, marked by ``in_gallery``, which
    ``PackInputs`` must keep among its ``meta_keys``. mmpretrain's ``InShop``
    reads the same folder, but tells a query's gallery images instead of its
    item::

        data_root
        ├── Eval
        │   └── list_eval_partition.txt   <image> <item> <train|query|gallery>
        └── Img
            └── img

    Args:
        data_root (str): The folder of the benchmark.
        split (str): 'train' or 'test'. Defaults to 'train'.
        **kwargs: See :class:`ReleasedDataset`.

    Raises:
        ValueError: If the list is in disorder, or has no query or no gallery.
        FileNotFoundError: As :class:`ReleasedDataset`.

    Source: Liu et al. 2016, DeepFashion.

    Example:
        >>> test_data = InShopRetrieval('data/inshop', split='test')
    """

    PAGE = ('https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/'
            'InShopRetrieval.html')
    LAYOUT = 'Eval/list_eval_partition.txt and Img/img/'
    FOLDERS = ('inshop', 'In-shop Clothes Retrieval Benchmark')

    def __init__(self, data_root: str, split: str = 'train', **kwargs):
        super().__init__(
            data_root, split,
            ann_file=os.path.join('Eval', 'list_eval_partition.txt'),
            data_prefix='Img', **kwargs)

    def load_data_list(self) -> List[dict]:
        self.check_folder(self.img_prefix, self.ann_file)
        wanted = ('train', ) if self.split == 'train' else ('query', 'gallery')
        rows = [row for row in _rows(self.ann_file, 2, 3, self.PAGE)
                if row[2] in wanted]
        missing = set(wanted) - {part for _, _, part in rows}
        if missing:
            raise ValueError(
                f'{self.ann_file}: it lists no image as '
                f'{" and none as ".join(sorted(missing))}, which '
                f'split={self.split!r} needs. Unpack the release again: '
                f'{self.PAGE}')
        numbers = self._set_classes([item for _, item, _ in rows])
        return [
            dict(img_path=os.path.join(self.img_prefix, path),
                 gt_label=numbers[item], in_gallery=part == 'gallery')
            for path, item, part in rows
        ]
