"""Detectors by name.

A detector is called with a picture (H, W, 3) uint8 RGB and returns a list of :class:`Found`: boxes in pixels
of that picture, clipped to it, the best first. It may be used by one thread at a time.

To add one, write a class whose ``__call__`` ends in :func:`DiffBinaural.detection.found.tidy`; name it in
DETECTORS.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from DiffBinaural.detection.faces import CenterFace, heads_of
from DiffBinaural.detection.found import Found
from DiffBinaural.detection.names import TORCHVISION_NAMES
from DiffBinaural.detection.ssd import SSD
from DiffBinaural.detection.torchvision_models import torchvision_detector

__all__ = ["DETECTORS", "CenterFace", "Detector", "Found", "detector_named", "heads_of"]

Detector = Callable[[np.ndarray], list[Found]]
# name -> factory; all take the keyword `threshold`
DETECTORS: dict[str, Callable[..., Detector]] = {
    "ssd": SSD,
    **{name: partial(torchvision_detector, name) for name in TORCHVISION_NAMES},
}


def detector_named(name: str, **options) -> Detector:
    """The detector of a name.  Without options its weights are loaded once in a process: that takes a second.

    options  of its factory, such as threshold=0.3
    Raises ValueError for a name that is unknown and for weights that are damaged, FileNotFoundError for
    weights that come with the installation and are not there.
    """
    if name not in DETECTORS:
        raise ValueError(f"no detector is named {name[:80]!r}; expected one of {', '.join(DETECTORS)}")
    return DETECTORS[name](**options) if options else loaded_once(name)


@cache
def loaded_once(name: str) -> Detector:
    """A detector of DETECTORS, the same for everybody."""
    return DETECTORS[name]()
