"""Images of noise in a folder per class."""
import numpy as np
from PIL import Image


def write_noise_images(root, per_class, size=40, classes=3):
    """Write `per_class` square images of each class below `root`."""
    random = np.random.RandomState(0)
    for label in range(classes):
        (root / f'class{label}').mkdir()
        for index in range(per_class):
            Image.fromarray(random.randint(0, 256, (size, size, 3), np.uint8)
                            ).save(root / f'class{label}' / f'{index}.png')
    return root
