"""Clips whose source will be moved by hand."""

from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural


class GenAudioPos(GenAudioRealBinaural):
    """:class:`GenAudioRealBinaural` of mono sounds alone: a made-up position has no truth."""

    channels = (1,)
