"""Drawing of leaves whose cultivars differ in venation, margin and lobing."""
import colorsys
from collections import namedtuple
from typing import Callable, Iterable, List, Tuple

import cv2
import numpy as np

_SUPERSAMPLING = 2
_ANGLES = np.linspace(-np.pi, np.pi, 1441)
# What all leaves of a cultivar share, and the range over all cultivars.
# Lengths are in leaf lengths, angles in radians.
_RANGES = dict(
    lobes=(3.0, 8.99),  # an odd number
    lobe_depth=(0.10, 0.58),  # of the sinuses between the lobes, 0 to 1
    lobe_spread=(0.70, 0.92),  # angle between neighboring lobes
    lobe_shape=(1.05, 1.90),  # exponent of a lobe's flank; low is pointed
    teeth=(14, 80),  # around the whole margin
    tooth_depth=(0.010, 0.055),
    tooth_lean=(0.5, 0.95),  # 0.5 is symmetric, 1 points to the leaf's tip
    veins=(2.0, 7.99),  # side veins on each side of a lobe's main vein
    vein_angle=(0.55, 1.15),  # between a side vein and its main vein
    vein_curve=(0.0, 0.7),  # share of that angle lost on the way outward
    vein_offset=(0.0, 0.5),  # 0: opposite side veins, 0.5: alternate ones
    mesh=(9, 24))  # cells of the finest veins along one leaf length


class Cultivar(namedtuple('Cultivar', _RANGES)):
    """What all leaves of one class share."""

    @property
    def lobe_angles(self) -> np.ndarray:
        """ndarray: Directions of the lobes from the leaf's axis, radians."""
        half = self.lobes // 2
        return np.arange(-half, half + 1) * self.lobe_spread


def breed_cultivars(num_classes: int, seed: int) -> List[Cultivar]:
    """Draw the features of all classes at random.

    The range of each feature is cut into ``num_classes`` equal parts, one for
    each class, so that classes lie apart.

    Args:
        num_classes (int): Number of classes.
        seed (int): Random seed.

    Returns:
        list[Cultivar]: One per class.
    """
    rng = np.random.default_rng([seed, num_classes])
    low, high = np.array(list(_RANGES.values())).T
    parts = rng.permuted(
        np.tile(np.arange(num_classes), (len(low), 1)), axis=1).T
    parts = parts + rng.random(parts.shape)
    values = low + (high - low) * parts / num_classes
    cultivars = []
    for drawn in map(Cultivar._make, values.tolist()):
        lobes = int(drawn.lobes - 3) // 2 * 2 + 3
        cultivars.append(
            drawn._replace(
                lobes=lobes,
                lobe_spread=min(drawn.lobe_spread, 2.6 / (lobes // 2)),
                teeth=int(drawn.teeth),
                tooth_depth=min(drawn.tooth_depth, 1.3 / drawn.teeth),
                veins=int(drawn.veins),
                mesh=int(drawn.mesh)))
    return cultivars


def draw_leaf(cultivar: Cultivar, size: int,
              rng: np.random.Generator) -> np.ndarray:
    """Draw one leaf of a cultivar.

    Lobing, margin and venation come from the cultivar; pose, color, light,
    size, background and small deformations from ``rng``.

    Args:
        cultivar (Cultivar): Features of the class.
        size (int): Height and width of the image, in pixels.
        rng (numpy.random.Generator): Source of all that varies.

    Returns:
        ndarray: (size, size, 3), uint8, BGR.
    """
    canvas = size * _SUPERSAMPLING
    growth = np.random.default_rng(rng.integers(2**32, size=4))
    to_pixels = _draw_pose(canvas, rng)
    angles = cultivar.lobe_angles
    lengths = (1 - 0.17 * np.abs(angles)) * growth.normal(
        1, 0.018, len(angles))
    radius = _blade_radius(cultivar, lengths)
    outline = to_pixels(_margin(cultivar, radius, growth))
    blade = np.zeros((canvas, canvas), np.uint8)
    cv2.fillPoly(blade, [_fixed(outline)], 255, cv2.LINE_AA, 4)
    blade = blade.astype(np.float32) / 255
    down = np.linspace(0, growth.uniform(0.3, 0.5), 12)
    stalk = to_pixels(np.stack([growth.normal(0, 0.5) * down**2, -down], 1))
    stalk = _strokes(canvas, [(stalk, canvas * 0.016, canvas * 0.012)])
    stalk = stalk.astype(np.float32) / 255
    main = _strokes(canvas, _vein_strokes(
        cultivar, lengths, radius, to_pixels, canvas / 320, growth))
    mesh = _mesh(canvas, cultivar.mesh, growth)
    veins = np.maximum(main.astype(np.float32) / 255, 0.28 * mesh) * blade
    light = rng.uniform(0, 2 * np.pi)
    shade = _shade(blade, main, mesh, light, rng)

    hue = rng.uniform(0.24, 0.31)
    green = _bgr(hue, rng.uniform(0.5, 0.65), rng.uniform(0.42, 0.54))
    pale = 0.45 * green + 0.55 * _bgr(hue - 0.05, 0.35, 0.85)
    mottle = _noise(canvas, 6, rng)[..., None] * rng.uniform(0.02, 0.08)
    yellow = _bgr(0.15, 0.65, 0.75)
    leaf = green + (yellow - green) * np.clip(mottle * 3, 0, 0.5)
    leaf = leaf * (1 - 0.75 * veins[..., None]) \
        + pale * 0.75 * veins[..., None]
    leaf = leaf * shade[..., None]

    image = _background(canvas, rng)
    shift = canvas * 0.02 * np.array([-np.cos(light), -np.sin(light)])
    shadow = cv2.warpAffine(
        np.maximum(blade, stalk),
        np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), (canvas, canvas))
    shadow = cv2.GaussianBlur(shadow, (0, 0), canvas * 0.015)
    image = image * (1 - 0.5 * shadow[..., None])
    for layer, alpha in ((pale * 0.8, stalk), (leaf, blade)):
        image = image * (1 - alpha[..., None]) + layer * alpha[..., None]

    image = image * rng.uniform(0.88, 1.08) * rng.uniform(0.97, 1.03, 3)
    image = cv2.resize(image.astype(np.float32), (size, size),
                       interpolation=cv2.INTER_AREA)
    image = image + rng.normal(0, 0.008, image.shape)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _bgr(*hsv: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(*hsv)[::-1])


def _noise(canvas: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise around 0 with about ``cells`` blobs along a side."""
    grid = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(grid, (canvas, canvas), interpolation=cv2.INTER_CUBIC)


def _background(canvas: int, rng: np.random.Generator) -> np.ndarray:
    """Paper, cloth or soil: a dull color with smooth and fine noise."""
    color = _bgr(*map(rng.uniform, (0.05, 0.03, 0.70), (0.13, 0.12, 0.90)))
    texture = 0.03 * _noise(canvas, 4, rng) + 0.02 * _noise(canvas, 40, rng)
    texture += rng.uniform(0.0, 0.05) * _noise(canvas, canvas // 4, rng)
    return color * (1 + texture[..., None])


def _draw_pose(canvas: int, rng: np.random.Generator
               ) -> Callable[[np.ndarray], np.ndarray]:
    """Map leaf coordinates (stalk at (0, 0), tip at (0, 1)) to pixels."""
    angle = rng.uniform(-0.25, 0.25)
    scale = canvas * rng.uniform(0.52, 0.60)
    stretch = rng.uniform(0.95, 1.05)
    shear, bend = rng.normal(0, 0.04), rng.normal(0, 0.05)
    center = canvas * (0.5 + rng.uniform(-0.04, 0.04, 2))
    phase, wave = rng.uniform(0, 2 * np.pi, 2), rng.normal(0, 0.012, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)],
                     [np.sin(angle), np.cos(angle)]])

    def to_pixels(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0] * stretch, points[:, 1] - 0.3
        sway = wave * np.sin(5 * np.stack([y, x], 1) + phase)
        x = x + shear * y + bend * y**2 + sway[:, 0]
        return np.stack([x, -y - sway[:, 1]], 1) @ turn.T * scale + center

    return to_pixels


def _blade_radius(cultivar: Cultivar, lengths: np.ndarray) -> np.ndarray:
    """Distance of the margin from the stalk, for every one of _ANGLES."""
    away = np.abs(_ANGLES[:, None] - cultivar.lobe_angles)
    fall = (2 * away / cultivar.lobe_spread)**cultivar.lobe_shape
    radius = (lengths * (1 - cultivar.lobe_depth * fall)).max(1)
    radius = np.maximum(radius, 0.30)
    notch = np.exp(-((np.pi - np.abs(_ANGLES)) / 0.3)**2)
    return radius * (1 - 0.75 * notch)


def _margin(cultivar: Cultivar, radius: np.ndarray,
            rng: np.random.Generator) -> np.ndarray:
    """The toothed outline, (N, 2)."""
    points = radius[:, None] * np.stack([np.sin(_ANGLES), np.cos(_ANGLES)], 1)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    along = np.linspace(0, length[-1], 2400)
    points = np.stack(
        [np.interp(along, length, points[:, i]) for i in (0, 1)], 1)
    middle = np.interp(0, _ANGLES, length)
    place = np.abs(along - middle) / length[-1] * cultivar.teeth
    place += rng.random()
    part = 1 - place % 1
    tooth = np.minimum(part / cultivar.tooth_lean,
                       (1 - part) / (1 - cultivar.tooth_lean))
    tooth *= cultivar.tooth_depth * (1 + 0.3 * np.sin(place * 2.4))
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    return points + normal * tooth[:, None]


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point form, 4 bits of fraction."""
    return np.rint(points * 16).astype(np.int32)


def _strokes(canvas: int, strokes: Iterable[Tuple[np.ndarray, float, float]]
             ) -> np.ndarray:
    """Lines that taper between two widths in pixels; (canvas, canvas)."""
    image = np.zeros((canvas, canvas), np.uint8)
    for points, start, end in strokes:
        fixed = _fixed(points).tolist()
        widths = np.linspace(start, end, len(fixed) - 1)
        for one, other, width in zip(fixed, fixed[1:], widths):
            cv2.line(image, one, other, 255, max(1, int(round(width))),
                     cv2.LINE_AA, 4)
    return image


def _vein_strokes(cultivar: Cultivar, lengths: np.ndarray, radius: np.ndarray,
                  to_pixels: Callable, unit: float, rng: np.random.Generator
                  ) -> Iterable[Tuple[np.ndarray, float, float]]:
    """The main vein of each lobe, and its side veins."""
    for axis, length in zip(cultivar.lobe_angles, lengths):
        tip = np.array([np.sin(axis), np.cos(axis)]) * length
        main = np.linspace(0, 0.97, 14)[:, None] * tip
        yield to_pixels(main), 4.2 * unit, 1.2 * unit
        for side in (-1, 1):
            for i in range(cultivar.veins):
                shift = cultivar.vein_offset * (side > 0)
                place = 0.14 + 0.74 * (i + shift) / cultivar.veins
                place += rng.normal(0, 0.008)
                vein = _side_vein(place * tip, axis, side, cultivar, radius)
                if len(vein) > 2:
                    yield to_pixels(vein), 2.4 * unit, unit


def _side_vein(start: np.ndarray, axis: float, side: int, cultivar: Cultivar,
               radius: np.ndarray) -> np.ndarray:
    """A side vein from a main vein outward, up to the margin, (N, 2)."""
    turn = cultivar.vein_angle * (
        1 - cultivar.vein_curve * np.linspace(0, 1, 16))
    heading = axis + side * turn
    path = 0.05 * np.stack([np.sin(heading), np.cos(heading)], 1)
    path = start + np.concatenate([[[0, 0]], np.cumsum(path, 0)])
    angle = np.arctan2(path[:, 0], path[:, 1])
    reach = np.linalg.norm(path, axis=1) / np.interp(angle, _ANGLES, radius)
    inner = abs(axis) < cultivar.lobe_angles[-1] - 1e-6 or side * axis < 0
    limit = 0.47 * cultivar.lobe_spread if inner else 1.2
    outside = (reach > 0.94) | (side * (angle - axis) > limit)
    return path[:int(np.argmax(outside))] if outside.any() else path


def _mesh(canvas: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Borders of irregular cells, ``cells`` of them along a leaf length."""
    count = 2 * cells
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1)
    seeds = (grid + rng.uniform(0.1, 0.9, grid.shape)) * canvas / count
    x, y = np.minimum(seeds.astype(int), canvas - 1).reshape(-1, 2).T
    away = np.full((canvas, canvas), 255, np.uint8)
    away[y, x] = 0
    _, label = cv2.distanceTransformWithLabels(
        away, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    border = np.zeros((canvas, canvas), np.float32)
    border[:, 1:] = label[:, 1:] != label[:, :-1]
    border[1:] = np.maximum(border[1:], label[1:] != label[:-1])
    return cv2.GaussianBlur(border, (0, 0), 0.7)


def _shade(blade: np.ndarray, main: np.ndarray, mesh: np.ndarray,
           light: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness of the blade, which bulges between its veins."""
    canvas = len(blade)
    distance = cv2.distanceTransform(255 - main, cv2.DIST_L2, 3)
    relief = np.sqrt(np.clip(distance / (0.06 * canvas), 0, 1)) - 0.25 * mesh
    dome = cv2.GaussianBlur(blade, (0, 0), canvas * 0.04)
    height = 0.55 * cv2.GaussianBlur(relief, (0, 0), canvas * 0.006)
    height = (height + 1.2 * dome) * canvas * 0.045
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    norm = np.sqrt(1 + slope_x**2 + slope_y**2)
    toward = np.cos(light) * slope_x + np.sin(light) * slope_y
    lambert = np.clip((0.8 - 0.6 * toward) / norm, 0, 1.4)
    gloss = np.clip(lambert - 0.85, 0, 1)**2 * rng.uniform(0.5, 2.5)
    return (0.42 + 0.75 * lambert + gloss).astype(np.float32)
