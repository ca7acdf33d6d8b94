"""Stage 1: a mono mel and a video in, a binaural mel out."""

__version__ = "0.2.0"
