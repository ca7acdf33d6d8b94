"""FAIR-Play's clips for generation."""

from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.dataset.fairplay_pos import FairPlayPos


class GenAudioFairPlay(WholeClips, FairPlayPos):
    """Every window of each clip, in order."""
