"""How far the predicted coherence between the ears can be trusted.

Stage 1's phasor P has a phase and a length, the coherence that it expects.  A least-squares predictor has
E[truth | prediction] = P, so among cells of length r the true phasor's part along P's direction is r on
average.  Where it is less the model is too sure of its phases, where it is more too unsure (a reliability
diagram: Guo et al. 2017, On Calibration of Modern Neural Networks, Sec. 2).
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.comparison import matching_part, mels_of_span, trim
from DiffBinaural.evaluation.interaural import PHASE_LIMIT
from DiffBinaural.evaluation.metric import NotMeasurable, sounding
from DiffBinaural.evaluation.pairing import Prediction
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.mel import FLOOR, band_centres, interaural_phasor, mel_spectrogram
from DiffBinaural.utils.mel_files import load_mel_pair, load_phasor
from DiffBinaural.utils.plots import save_figure

BINS = 10  # of equal width, of predicted lengths 0 to 1
GROUPS = ("all bands", "below 1.5 kHz", "above 1.5 kHz")
STYLES = dict(zip(GROUPS, (dict(linewidth=2), dict(linestyle="--"), dict(linestyle=":")), strict=True))
SHOWN = 1e-3  # of the weight: a bin with less has too few cells to be drawn
Sums = np.ndarray  # (GROUPS, 3, BINS): weight, weight · predicted length, weight · agreement


def phasor_cells(
    estimate: np.ndarray, reference: np.ndarray, mono_mel: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every cell the predicted length, the agreement with the truth, the weight.

    estimate, reference  (2, M, T)  real and imaginary part;  mono_mel: (1, M, T) in nepers
    ->  (M, T) each: |P|; Re(truth · P*/|P|), 0 where P is; the mono's magnitude, of sum 1, 0 in silence
    """
    made, true, mel = (np.asarray(x, dtype=float) for x in (estimate, reference, mono_mel))
    length = np.hypot(*made)
    agreement = (made * true).sum(axis=0) / np.maximum(length, np.finfo(float).tiny)
    weight = (np.exp(mel[0]) - 1.001 * FLOOR).clip(0)  # the floor itself is rounded: float32
    return length, agreement, weight / (weight.sum() or 1)


def binned_cells(cells: tuple[np.ndarray, np.ndarray, np.ndarray], hz: np.ndarray) -> Sums:
    """Sums of :func:`phasor_cells` over the cells of each group and bin.  hz: (M,) centres of the bands."""
    length, agreement, weight = cells
    which = np.minimum((length * BINS).astype(int), BINS - 1)
    low = hz < PHASE_LIMIT
    return np.stack(
        [
            [
                np.bincount(which[rows].ravel(), (weight * x)[rows].ravel(), BINS)
                for x in (1, length, agreement)
            ]
            for rows in (np.full_like(low, True), low, ~low)
        ]
    )


def calibration(sums: np.ndarray) -> tuple[float, float] | None:
    """Calibration error and overconfidence of a group's sums (3, BINS); None where nothing sounds.

    Calibration error: |mean length - mean agreement| of a bin, averaged over bins with their weights; 0 is
    perfect.  Overconfidence: the mean of length - agreement; above 0 the model is too sure.
    """
    weight, length, agreement = sums
    if not weight.sum():
        return None
    excess = (length - agreement) / weight.sum()
    return float(np.abs(excess).sum()), float(excess.sum())


def check_phasors(clips: Iterable[Prediction]) -> None:
    """Raise ValueError where a prediction has no phasor, or a truth is not a sound."""
    for p in clips:
        if not isinstance(p.truth.file, Path):
            raise ValueError(
                f"{p.truth.file[0]}: the truth is mels, without the phase between the ears; "
                "--reliability needs wavs as --gt_dir"
            )
        path = p.file[0].with_name(f"{p.stem}_phasor.npy")
        if not path.is_file():
            raise ValueError(
                f"{path}: missing; --reliability needs the phasors that a stage 1 trained with "
                "--interaural_phase writes beside its mels"
            )


def compared_phasors(p: Prediction, cfg: MelConfig) -> list[np.ndarray]:
    """Predicted phasor, true phasor (2, M, T) each, log mel of the mono (1, M, T) of one prediction.

    Raises NotMeasurable where an ear of the truth is silent throughout: nothing is between the ears then.
    """
    shape = load_mel_pair(p.file, cfg.n_mels).shape[1:]
    estimate, size = load_phasor(p.stem, p.file[0].parent, shape), shape[1] * cfg.hop
    wav, _ = read_wav(p.truth.file, cfg.sample_rate, channels=2)
    part = matching_part(p.truth, wav, cfg.sample_rate, size, slack=cfg.hop, block=cfg.hop)
    sounding(part)
    pair = torch.from_numpy(np.ascontiguousarray(part))
    with naming(p.stem):  # too short for a frame
        reference, mono = (
            interaural_phasor(pair, cfg).numpy(),
            mel_spectrogram(pair.mean(0)[None], cfg).numpy(),
        )
    if p.mono:
        mono = mels_of_span(p.mono, read_wav(p.mono.file, cfg.sample_rate, channels=1)[0], shape[1], cfg)
    return trim(estimate, reference, mono)


def reliability(clips: Iterable[Prediction], cfg: MelConfig) -> dict[str, Sums]:
    """Sums over the clips of each system, in which every clip that sounds counts the same."""
    systems: dict[str, Sums] = {}
    for p in clips:
        sums = systems.setdefault(p.system, np.zeros((len(GROUPS), 3, BINS)))
        try:
            sums += binned_cells(phasor_cells(*compared_phasors(p, cfg)), band_centres(cfg))
        except NotMeasurable:  # a silent clip counts nothing
            continue
    return systems


def reliability_lines(systems: dict[str, Sums]) -> list[str]:
    """One line for each system: its figures in all bands, in the lower and in the upper ones."""
    lines = []
    for system, sums in systems.items():
        (found, *parts) = map(calibration, sums)
        if found is None:
            lines.append(f"{system}: coherence not measurable, no clip sounds in both ears")
            continue
        words = [
            f"{name} {of[0]:.3f}, {of[1]:+.3f}" for name, of in zip(GROUPS[1:], parts, strict=True) if of
        ]
        whole = f"{system}: coherence's calibration error {found[0]:.3f}, overconfidence {found[1]:+.3f}"
        lines.append("; ".join([whole, *words]))
    return lines


def draw_reliability(path: str | Path, systems: dict[str, Sums]) -> None:
    """Draw true agreement over predicted coherence, beneath it how often each coherence is predicted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 7.5 + 0.5 * len(systems)), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.75", linewidth=6, label="as sure as it should be")
    for number, (system, sums) in enumerate(systems.items()):
        for name, group in zip(GROUPS, sums, strict=True):
            draw_group(upper, lower, f"{system}, {name}", group, dict(color=f"C{number}", **STYLES[name]))
    upper.text(0.03, 0.97, "too unsure", color="0.4", va="top", transform=upper.transAxes)
    upper.text(0.97, 0.03, "too sure", color="0.4", ha="right", transform=upper.transAxes)
    upper.set_ylabel("true agreement along the predicted phase")
    figure.legend(loc="outside upper center", fontsize=8)
    lower.set_ylabel("share of the sound, %")
    lower.set_xlabel("predicted coherence")
    lower.set_xlim(0, 1)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    save_figure(path, figure)


def draw_group(upper, lower, label: str, sums: np.ndarray, style: dict) -> None:
    """Draw one group's sums (3, BINS) on both panels."""
    found = calibration(sums)
    if found is None:
        return
    share = sums[0] / sums[0].sum()
    weight, length, agreement = sums[:, share > SHOWN]
    text = f"{label}: error {found[0]:.3f}, overconfidence {found[1]:+.3f}"
    upper.plot(length / weight, agreement / weight, marker="o", markersize=4, label=text, **style)
    lower.stairs(100 * share, np.linspace(0, 1, BINS + 1), **style)
