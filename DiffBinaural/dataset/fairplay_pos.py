"""FAIR-Play, prepared."""

from DiffBinaural.dataset.dataset_real_binaural import RealBinaural


class FairPlayPos(RealBinaural):
    """Random windows of a list of one of FAIR-Play's splits, say split="split1" or "five_split3"."""
