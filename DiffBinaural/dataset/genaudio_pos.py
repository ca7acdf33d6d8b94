"""Clips whose sound will be placed by hand."""

from DiffBinaural.dataset.dataset_real_binaural import MONO
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural


class GenAudioPos(GenAudioRealBinaural):
    """:class:`GenAudioRealBinaural` of mono sounds alone: there is no truth about a place made up."""

    sounds = (MONO,)
