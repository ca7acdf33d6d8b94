"""Every metric by name, in the order of the tables."""

from DiffBinaural.evaluation.interaural import INTERAURAL
from DiffBinaural.evaluation.mel_metrics import MEL_METRICS
from DiffBinaural.evaluation.official import OFFICIAL
from DiffBinaural.evaluation.sound_quality import SOUND_QUALITY

WAV_METRICS = OFFICIAL | INTERAURAL | SOUND_QUALITY
METRICS = WAV_METRICS | MEL_METRICS
