"""FAIR-Play's right ear."""

from DiffBinaural.dataset.fairplay_pos import FairPlayPos
from DiffBinaural.utils.lists import EARS


class FairPlayPosRight(FairPlayPos):
    """:class:`FairPlayPos` with ``binaural_mel`` reduced to the right ear, (1, M, T)."""

    ears = EARS["right"]
