"""What a detector returns: boxes of one picture, with what they hold."""

import math
from typing import NamedTuple

import numpy as np

MOST = 100  # boxes of a picture that are kept; what the COCO detectors return too
CANDIDATES = 1000  # raw boxes, the best, that are compared with each other
SAME_THING = 0.75  # overlap above which two labels name one thing: car, truck; cat, dog
SHADES = 6  # of red, of green and of blue that are told apart
MOST_PIXELS = 256  # along a side of a box whose colours are counted
RIM = 0.15  # of a box, on each side: there the background shows
PERSON = "person"

ANIMALS = frozenset(("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"))
VEHICLES = frozenset(("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"))
# COCO's names of what can be heard from where it is seen. Left out is what has no sound of its own, however
# often it lies before a camera: clothes and bags, furniture, food, plants, dishes, cutlery, sports goods,
# books, street signs. A tie or a bowl in this list would take the voice from the one who wears or holds it.
CAN_SOUND = frozenset(
    (
        PERSON,
        *ANIMALS,
        *VEHICLES,  # a bell, engines
        "skateboard",  # wheels
        *("tv", "laptop", "cell phone", "keyboard", "mouse", "clock"),  # loudspeakers, keys, alarms
        *("hair drier", "toothbrush", "microwave", "oven", "toaster", "refrigerator"),  # motors, fans
        *("sink", "toilet"),  # running water
    )
)


class Found(NamedTuple):
    """Something found in a picture."""

    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the picture; x1 < x2, y1 < y2
    score: float  # 0 to 1
    label: str  # COCO's name, or "face"
    colours: np.ndarray | None = None  # of :func:`colours_of`


def colours_of(picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Roots (SHADES³,) of the shares that colours have in the middle of a box.

    The inner product of two such is their Bhattacharyya coefficient: 1 where the colours are the same.

    picture  (H, W, 3) uint8 RGB
    box      x1, y1, x2, y2 in pixels
    """
    width, height = RIM * (box[2] - box[0]), RIM * (box[3] - box[1])
    x, y = (
        np.clip(low, 0, side - 1)
        for low, side in ((box[0] + width, picture.shape[1]), (box[1] + height, picture.shape[0]))
    )
    x1, y1 = int(x), int(y)
    x2, y2 = max(math.ceil(box[2] - width), x1 + 1), max(math.ceil(box[3] - height), y1 + 1)
    step = math.ceil(max(x2 - x1, y2 - y1) / MOST_PIXELS)
    shades = picture[y1:y2:step, x1:x2:step].reshape(-1, 3).astype(np.int32) * SHADES // 256
    counts = np.bincount(shades @ (SHADES**2, SHADES, 1), minlength=SHADES**3)
    return np.sqrt(counts / max(counts.sum(), 1))


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (...) of boxes (..., 4) in square pixels; 0 where a box is empty."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(-1)


def intersections(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas (N, M) that boxes (N, 4) have in common with boxes (M, 4)."""
    a, b = a[:, None], b[None]
    return areas(np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], -1))


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) with boxes (M, 4) of positive area."""
    common = intersections(a, b)
    return common / (areas(a)[:, None] + areas(b)[None] - common)


def kept_rows(boxes: np.ndarray, most_overlap: float) -> list[int]:
    """Non-maximum suppression: rows of boxes (N, 4), the best first, that no better row covers.

    Returns at most MOST rows.
    """
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) < MOST:
        first, left = left[0], left[1:]
        kept.append(int(first))
        left = left[overlaps(boxes[first : first + 1], boxes[left])[0] <= most_overlap]
    return kept


def tidy(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: list[str],
    picture: np.ndarray,
    *,
    threshold: float,
    most_overlap: float = SAME_THING,
) -> list[Found]:
    """Raw boxes as the list that a detector returns: clipped to the picture, each thing once, the best first.

    boxes         (N, 4) x1, y1, x2, y2 in pixels
    scores        (N,) 0 to 1; boxes below `threshold` are dropped, as are those outside the picture and those
                  with values that are not finite
    labels        N names
    picture       (H, W, 3)
    most_overlap  intersection over union above which the lower score is dropped, whatever the labels
    ->            at most MOST
    """
    height, width = picture.shape[:2]
    boxes, scores = np.asarray(boxes, float).reshape(-1, 4), np.asarray(scores, float)
    usable = np.isfinite(boxes).all(1) & (scores >= threshold) & (scores <= 1)  # NaN is neither
    boxes = boxes.clip(0, (width, height, width, height))
    usable &= (boxes[:, :2] < boxes[:, 2:]).all(1)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:CANDIDATES]
    rows = rows[kept_rows(boxes[rows], most_overlap)]
    return [Found((*boxes[row].tolist(),), float(scores[row]), labels[row]) for row in rows]
