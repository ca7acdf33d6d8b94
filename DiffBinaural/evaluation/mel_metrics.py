"""Metrics of log mels."""

import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.interaural import ILD_TITLE, LEVEL_BAND, gate, level_error
from DiffBinaural.evaluation.metric import Metric, NotMeasurable, metric
from DiffBinaural.utils.lists import SIDES
from DiffBinaural.utils.mel import FLOOR, band_centres

MEL_METRICS: dict[str, Metric] = {}


def mel_cues(mel: np.ndarray, cfg: MelConfig) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The level difference over time of log mels (2, M, T), as :func:`interaural.cues` has it."""
    power = np.exp(2 * np.asarray(mel, dtype=float))
    left, right = power[:, np.digitize(band_centres(cfg), LEVEL_BAND) == 1].sum(axis=1)
    seconds = (np.arange(mel.shape[-1]) + 0.5) * cfg.hop / cfg.sample_rate
    audible = gate(power.sum(axis=(0, 1)))
    return {ILD_TITLE: (seconds, np.where(audible, 10 * np.log10(right / left), np.nan))}


def band_errors(estimate: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """RMSE (nepers), L1 (nepers) and L2 (mean square, nepers²) of each ear and mel band, (2, M) each."""
    difference = np.asarray(estimate, dtype=float) - reference
    l1, l2 = np.abs(difference).mean(axis=-1), (difference**2).mean(axis=-1)
    return {"rmse": np.sqrt(l2), "l1": l1, "l2": l2}


@metric(MEL_METRICS, "lower", "neper")
def mel_rmse(estimate, reference, cfg):
    """Root of the mean squared difference over bands and frames, ears averaged."""
    return np.sqrt(((estimate - reference) ** 2).mean(axis=(1, 2))).mean()


@metric(MEL_METRICS, "lower", "dB")
def mel_ild_error(estimate, reference, cfg):
    """`ild_error` from mels: a band's power is the sum of exp(2·mel) over the mel bands centred in it."""
    if min(estimate.max(), reference.max()) < np.log(FLOOR) + 1e-3:
        raise NotMeasurable("a mel is silent throughout")
    return level_error(np.exp(2 * estimate), np.exp(2 * reference), band_centres(cfg))


def add_ear_metric(kind: str, ear: int, side: str, unit: str) -> None:
    """Add mel_<kind>_<side>, the rmse, l1 or l2 of one ear, to MEL_METRICS."""

    def figure(estimate, reference, cfg):
        mean = {k: v[ear].mean() for k, v in band_errors(estimate, reference).items()}
        return np.sqrt(mean["l2"]) if kind == "rmse" else mean[kind]

    figure.__name__, figure.__doc__ = f"mel_{kind}_{side}", f"{kind.upper()} of the {side} ear's log mel."
    metric(MEL_METRICS, "lower", unit)(figure)


for _kind, _unit in (("rmse", "neper"), ("l1", "neper"), ("l2", "neper²")):
    for _ear, _side in enumerate(SIDES):
        add_ear_metric(_kind, _ear, _side, _unit)
