"""Drawing of leaves whose cultivars differ in venation, margin and lobing."""
import colorsys
from dataclasses import dataclass
from typing import Callable, List, Tuple

import cv2
import numpy as np

SUPERSAMPLING = 2
ANGLES = np.linspace(-np.pi, np.pi, 1441)


@dataclass(frozen=True)
class Cultivar:
    """What all leaves of one class share; lengths in leaf lengths.

    Args:
        lobes (int): Number of lobes, odd.
        lobe_depth (float): How deep the sinuses between lobes cut, 0 to 1.
        lobe_spread (float): Angle between neighbouring lobes, in radians.
        lobe_shape (float): Exponent of a lobe's flank; low is pointed.
        teeth (int): Teeth around the whole margin.
        tooth_depth (float): Height of a tooth.
        tooth_lean (float): Where in a tooth its point lies, 0.5 to 1;
            0.5 is symmetric, 1 points to the leaf's tip.
        veins (int): Side veins on each side of a lobe's main vein.
        vein_angle (float): Angle of side veins to the main vein, in radians.
        vein_curve (float): Share of that angle lost on the way outwards.
        vein_offset (float): Shift between the veins of the two sides, in
            distances between veins: 0 is opposite, 0.5 alternate.
        mesh (int): Cells of the finest veins along one leaf length.
    """

    lobes: int
    lobe_depth: float
    lobe_spread: float
    lobe_shape: float
    teeth: int
    tooth_depth: float
    tooth_lean: float
    veins: int
    vein_angle: float
    vein_curve: float
    vein_offset: float
    mesh: int

    @property
    def lobe_angles(self) -> np.ndarray:
        """Directions of the lobes, in radians from the leaf's axis."""
        half = self.lobes // 2
        return np.arange(-half, half + 1) * self.lobe_spread


def breed_cultivars(num_classes: int, seed: int) -> List[Cultivar]:
    """Draw the parameters of all classes.

    Every parameter's range is cut into ``num_classes`` equal parts, and each
    part is given to one class at random, so that classes lie apart.

    Args:
        num_classes (int): Number of classes.
        seed (int): Seed of the random numbers.

    Returns:
        list[Cultivar]: One for each class.
    """
    rng = np.random.default_rng([seed, num_classes])
    low, high = np.array([
        (3.0, 8.99), (0.10, 0.58), (0.70, 0.92), (1.05, 1.90), (14, 80),
        (0.010, 0.055), (0.5, 0.95), (2.0, 7.99), (0.55, 1.15), (0.0, 0.7),
        (0.0, 0.5), (9, 24)
    ]).T
    parts = rng.permuted(
        np.tile(np.arange(num_classes), (len(low), 1)), axis=1).T
    values = low + (high - low) * (parts + rng.random(parts.shape)) \
        / num_classes
    cultivars = []
    for row in values:
        lobes, depth, spread, shape, teeth, height, lean, veins, \
            angle, curve, offset, mesh = row.tolist()
        lobes = int(lobes - 3) // 2 * 2 + 3
        cultivars.append(
            Cultivar(lobes, depth, min(spread, 2.6 / (lobes // 2)), shape,
                     int(teeth), min(height, 1.3 / teeth), lean, int(veins),
                     angle, curve, offset, int(mesh)))
    return cultivars


def draw_leaf(cultivar: Cultivar, size: int,
              rng: np.random.Generator) -> np.ndarray:
    """Draw one leaf of a cultivar.

    Pose, colour, light, size, background and small deformations come from
    ``rng``; lobing, margin and venation from the cultivar. Two cultivars
    with the same ``rng`` get the same pose, colours, light and paper.

    Args:
        cultivar (Cultivar): Parameters of the class.
        size (int): Height and width of the image, in pixels.
        rng (numpy.random.Generator): Source of all that varies.

    Returns:
        numpy.ndarray: Image, (size, size, 3), uint8, BGR.
    """
    canvas = size * SUPERSAMPLING
    growth = np.random.default_rng(rng.integers(2**32, size=4))
    to_pixels = _draw_pose(canvas, rng)
    lengths = _lobe_lengths(cultivar, growth)
    radius = _blade_radius(cultivar, lengths)
    blade = _fill(canvas, to_pixels(_margin(cultivar, radius, growth)))
    stalk = _stalk(canvas, to_pixels, growth)
    veins, relief = _draw_veins(canvas, cultivar, lengths, radius, to_pixels,
                                growth)
    veins *= blade
    light = rng.uniform(0, 2 * np.pi)
    shade = _shade(blade, veins, relief, light, rng)

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
    body = np.maximum(blade, stalk)
    shift = canvas * 0.02 * np.array([-np.cos(light), -np.sin(light)])
    shadow = cv2.warpAffine(
        body, np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]),
        (canvas, canvas))
    shadow = cv2.GaussianBlur(shadow, (0, 0), canvas * 0.015)
    image = image * (1 - 0.5 * shadow[..., None])
    for layer, alpha in ((pale * 0.8, stalk), (leaf, blade)):
        image = image * (1 - alpha[..., None]) + layer * alpha[..., None]

    image = image * rng.uniform(0.88, 1.08) * rng.uniform(0.97, 1.03, 3)
    image = cv2.resize(image.astype(np.float32), (size, size),
                       interpolation=cv2.INTER_AREA)
    image = image + rng.normal(0, 0.008, image.shape)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _bgr(hue: float, saturation: float, value: float) -> np.ndarray:
    """A colour as three numbers between 0 and 1."""
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value)[::-1])


def _noise(canvas: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise around 0 with about ``cells`` blobs along a side."""
    grid = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(grid, (canvas, canvas), interpolation=cv2.INTER_CUBIC)


def _background(canvas: int, rng: np.random.Generator) -> np.ndarray:
    """Paper, cloth or soil: a dull colour with smooth and fine noise."""
    colour = _bgr(
        rng.uniform(0.05, 0.13), rng.uniform(0.03, 0.12),
        rng.uniform(0.70, 0.90))
    texture = 0.03 * _noise(canvas, 4, rng) + 0.02 * _noise(canvas, 40, rng)
    texture += rng.uniform(0.0, 0.05) * _noise(canvas, canvas // 4, rng)
    return colour * (1 + texture[..., None])


def _draw_pose(canvas: int, rng: np.random.Generator
               ) -> Callable[[np.ndarray], np.ndarray]:
    """A map from leaf coordinates (N, 2) to pixels (N, 2).

    The leaf's stalk ends at (0, 0), its tip lies at (0, 1).
    """
    angle = rng.uniform(-0.25, 0.25)
    scale = canvas * rng.uniform(0.52, 0.60)
    stretch = rng.uniform(0.95, 1.05)
    shear, bend = rng.normal(0, 0.04), rng.normal(0, 0.05)
    centre = canvas * (0.5 + rng.uniform(-0.04, 0.04, 2))
    phase, wave = rng.uniform(0, 2 * np.pi, 2), rng.normal(0, 0.012, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)],
                     [np.sin(angle), np.cos(angle)]])

    def to_pixels(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0] * stretch, points[:, 1] - 0.3
        sway = wave * np.sin(5 * np.stack([y, x], 1) + phase)
        x = x + shear * y + bend * y**2 + sway[:, 0]
        return np.stack([x, -y - sway[:, 1]], 1) @ turn.T * scale + centre

    return to_pixels


def _lobe_lengths(cultivar: Cultivar, rng: np.random.Generator) -> np.ndarray:
    """Lengths of the lobes, the middle one about 1, outer ones shorter."""
    angles = np.abs(cultivar.lobe_angles)
    return (1 - 0.17 * angles) * rng.normal(1, 0.018, len(angles))


def _blade_radius(cultivar: Cultivar, lengths: np.ndarray) -> np.ndarray:
    """Distance of the margin from the stalk, for every one of ANGLES."""
    away = np.abs(ANGLES[:, None] - cultivar.lobe_angles)
    fall = (2 * away / cultivar.lobe_spread)**cultivar.lobe_shape
    radius = (lengths * (1 - cultivar.lobe_depth * fall)).max(1)
    radius = np.maximum(radius, 0.30)
    notch = np.exp(-((np.pi - np.abs(ANGLES)) / 0.3)**2)
    return radius * (1 - 0.75 * notch)


def _margin(cultivar: Cultivar, radius: np.ndarray,
            rng: np.random.Generator) -> np.ndarray:
    """The toothed outline, (N, 2)."""
    points = radius[:, None] * np.stack([np.sin(ANGLES), np.cos(ANGLES)], 1)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    along = np.linspace(0, length[-1], 2400)
    points = np.stack(
        [np.interp(along, length, points[:, i]) for i in (0, 1)], 1)
    middle = np.interp(0, ANGLES, length)
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


def _fill(canvas: int, points: np.ndarray) -> np.ndarray:
    """The inside of an outline as a (canvas, canvas) map from 0 to 1."""
    mask = np.zeros((canvas, canvas), np.uint8)
    cv2.fillPoly(mask, [_fixed(points)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point form, 4 bits of fraction."""
    return np.rint(points * 16).astype(np.int32)


def _stroke(image: np.ndarray, points: np.ndarray, start: float,
            end: float) -> None:
    """Draw a line that tapers from one width to another, in pixels."""
    fixed = _fixed(points)
    widths = np.linspace(start, end, len(points) - 1)
    for i, width in enumerate(widths):
        cv2.line(image, tuple(map(int, fixed[i])),
                 tuple(map(int, fixed[i + 1])), 255,
                 max(1, int(round(width))), cv2.LINE_AA, 4)


def _stalk(canvas: int, to_pixels: Callable, rng: np.random.Generator
           ) -> np.ndarray:
    """The petiole, below the blade."""
    down = np.linspace(0, rng.uniform(0.3, 0.5), 12)
    points = np.stack([rng.normal(0, 0.5) * down**2, -down], 1)
    image = np.zeros((canvas, canvas), np.uint8)
    _stroke(image, to_pixels(points), canvas * 0.016, canvas * 0.012)
    return image.astype(np.float32) / 255


def _side_vein(start: np.ndarray, axis: float, side: int, cultivar: Cultivar,
               radius: np.ndarray) -> np.ndarray:
    """A side vein from a main vein outwards, up to the margin, (N, 2)."""
    steps = np.linspace(0, 1, 16)
    turn = cultivar.vein_angle * (1 - cultivar.vein_curve * steps)
    heading = axis + side * turn
    path = 0.05 * np.stack([np.sin(heading), np.cos(heading)], 1)
    path = start + np.concatenate([[[0, 0]], np.cumsum(path, 0)])
    angle = np.arctan2(path[:, 0], path[:, 1])
    reach = np.linalg.norm(path, axis=1) / np.interp(angle, ANGLES, radius)
    outside = reach > 0.94
    if abs(axis) < cultivar.lobe_angles[-1] - 1e-6 or side * axis < 0:
        outside |= side * (angle - axis) > 0.47 * cultivar.lobe_spread
    else:
        outside |= side * (angle - axis) > 1.2
    stop = int(np.argmax(outside)) if outside.any() else len(path)
    return path[:stop]


def _draw_veins(canvas: int, cultivar: Cultivar, lengths: np.ndarray,
                radius: np.ndarray, to_pixels: Callable,
                rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
    """Draw all veins.

    Returns:
        tuple: How much of a vein every pixel is, 0 to 1, and the height of
        the blade between the veins, 0 to 1; both (canvas, canvas).
    """
    image = np.zeros((canvas, canvas), np.uint8)
    unit = canvas / 320
    for axis, length in zip(cultivar.lobe_angles, lengths):
        tip = np.array([np.sin(axis), np.cos(axis)]) * length
        main = np.linspace(0, 0.97, 14)[:, None] * tip
        _stroke(image, to_pixels(main), 4.2 * unit, 1.2 * unit)
        for side in (-1, 1):
            for i in range(cultivar.veins):
                shift = cultivar.vein_offset * (side > 0)
                place = 0.14 + 0.74 * (i + shift) / cultivar.veins
                place += rng.normal(0, 0.008)
                vein = _side_vein(place * tip, axis, side, cultivar, radius)
                if len(vein) > 2:
                    _stroke(image, to_pixels(vein), 2.4 * unit, unit)
    distance = cv2.distanceTransform(255 - image, cv2.DIST_L2, 3)
    relief = np.sqrt(np.clip(distance / (0.06 * canvas), 0, 1))
    mesh = _mesh(canvas, cultivar.mesh, rng)
    veins = np.maximum(image.astype(np.float32) / 255, 0.28 * mesh)
    return veins, relief - 0.25 * mesh


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


def _shade(blade: np.ndarray, veins: np.ndarray, relief: np.ndarray,
           light: float, rng: np.random.Generator) -> np.ndarray:
    """Brightness of the blade under a light from the side."""
    canvas = len(blade)
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
