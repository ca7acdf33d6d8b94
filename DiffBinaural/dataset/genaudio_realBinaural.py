"""RealBinaural's clips for generation."""

from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural


class GenAudioRealBinaural(WholeClips, RealBinaural):
    """Every window of each clip, in order."""
