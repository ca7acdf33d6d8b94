"""Torchvision's COCO detectors; their weights are fetched from PyTorch's server once."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from io import StringIO
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torchvision.models import get_model, get_model_weights

from DiffBinaural.detection.found import CAN_SOUND, Found, tidy
from DiffBinaural.detection.ssd import SSD
from DiffBinaural.detection.verified import verified_bytes

THRESHOLD = 0.5
PATIENCE = 20.0  # seconds without an answer of the server


class TorchvisionDetector:
    """Boxes of persons, animals, vehicles and devices by a model of torchvision.

    model       a detection model (list of images -> list of dicts)
    categories  its names of the label numbers
    """

    def __init__(self, model: torch.nn.Module, categories: list[str], threshold: float = THRESHOLD):
        self.model, self.categories, self.threshold = model.eval(), categories, threshold

    @torch.inference_mode()
    def __call__(self, picture: np.ndarray) -> list[Found]:
        """What a picture (H, W, 3) uint8 RGB shows."""
        image = torch.from_numpy(np.ascontiguousarray(picture).transpose(2, 0, 1)).float() / 255
        (rows,) = self.model([image])
        labels = [self.categories[k] for k in rows["labels"].tolist()]
        known = [k for k, label in enumerate(labels) if label in CAN_SOUND]
        boxes, scores = (rows[name].cpu().numpy()[known] for name in ("boxes", "scores"))
        return tidy(boxes, scores, [labels[k] for k in known], picture, threshold=self.threshold)


def torchvision_detector(name: str, **options) -> Callable[[np.ndarray], list[Found]]:
    """A detector of torchvision by name, or SSD after one line on stderr where it cannot be fetched.

    Raises ValueError for a file of weights that is damaged or tampered with.
    """
    weights = get_model_weights(name).DEFAULT
    try:
        with patience(PATIENCE):
            fetch(weights)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        print(f"{name}: its weights cannot be fetched ({reason}); going on with ssd", file=sys.stderr)
        return SSD(**options)
    return TorchvisionDetector(get_model(name, weights=weights), weights.meta["categories"], **options)


def fetch(weights) -> None:
    """Download the weights of torchvision's enum where they are not there yet; prove that they are tensors.

    Raises OSError or HTTPException where they cannot be fetched, ValueError where they are not what their
    name says: it ends with the first digits of their SHA-256.
    """
    path, cure = cached_file(weights), "delete the file; it is fetched again"
    if path.is_file():
        verified_bytes(path, path.stem.rpartition("-")[2], cure)
    try:
        with redirect_stdout(StringIO()):  # where results may go, it announces a download
            # torchvision itself would read any pickle
            weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}; expected weights; {cure}") from None


def cached_file(weights) -> Path:
    """Where PyTorch keeps the weights of torchvision's enum."""
    return Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Limit waiting for the network, which torch.hub does not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
