"""FAIR-Play's left ear."""

from DiffBinaural.dataset.fairplay_pos import FairPlayPos
from DiffBinaural.utils.lists import EARS


class FairPlayPosLeft(FairPlayPos):
    """:class:`FairPlayPos` with ``binaural_mel`` reduced to the left ear, (1, M, T)."""

    ears = EARS["left"]
