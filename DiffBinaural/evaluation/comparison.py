"""The pairs (estimate, reference) that the metrics compare."""

from pathlib import Path

import numpy as np
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.evaluation.metrics import WAV_METRICS
from DiffBinaural.evaluation.pairing import ORACLE, ClipSpan, Prediction
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.rendering import GEOMETRY, render
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.mel import frame_times, hann, mel_spectrogram
from DiffBinaural.utils.mel_files import load_mel_pair


def matching_part(
    span: ClipSpan, sound: np.ndarray, rate: float, size: int, *, slack: int, block: int = 1
) -> np.ndarray:
    """The part of a truth (or mono) that belongs to a prediction.

    sound  (C, N) samples, or (2, M, T) mel frames, at `rate` per second
    size   length of the prediction; up to `slack` of difference is left to :func:`trim`
    block  pad the end with zeros to whole blocks first, as the mel extraction does
    ->     (..., n), n <= size
    Raises ValueError where the lengths differ by more than `slack`.
    """
    part = sound[..., round(span.start * rate) :]
    part = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(0, -part.shape[-1] % block)])
    length, unit = part.shape[-1], "samples" if sound.ndim == 2 else "frames"
    if not length or size - length > slack or (span.whole and length - size > slack):
        file = span.file if isinstance(span.file, Path) else span.file[0]
        raise ValueError(
            f"{span.stem}: the prediction has {size} {unit}, {file} has {length} from "
            f"{span.start:g} s on; they may differ by {slack}"
        )
    return part[..., :size]


def trim(*arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays, trimmed to the shortest along the last axis."""
    size = min(array.shape[-1] for array in arrays)
    return [array[..., :size] for array in arrays]


def with_anchors(p: Prediction, estimate, reference, mono) -> dict[str, tuple]:
    """(estimate, reference) of a prediction and, for the first system, of the anchors.

    estimate, reference  (2, …) arrays
    mono                 (1, …), the mono copy's both ears; (0, …) without a mono, and then no mono copy
    ->                   system -> (estimate, reference), of equal length
    """
    estimate, reference, mono = trim(estimate, reference, mono)
    pairs = {p.system: (estimate, reference)}
    if p.anchored and len(mono):
        pairs["mono_copy"] = np.concatenate([mono, mono]), reference
    if p.anchored:
        pairs["swapped"] = estimate[::-1], reference
    return pairs


def with_phase_of(mono: np.ndarray, wav: np.ndarray, cfg: MelConfig) -> np.ndarray:
    """A binaural sound resynthesised from its own magnitudes with the phase of a mono sound.

    The STFT is that of the mels (1024/256, Hann, centred), so the result is the best that mels with the
    mono's phase can give.

    mono  (1, N)
    wav   (2, N)
    ->    (2, N)
    """
    sizes = dict(n_fft=cfg.n_fft, hop_length=cfg.hop, window=hann(cfg.n_fft, torch.device("cpu")))
    binaural, downmix = (
        torch.stft(
            torch.from_numpy(np.ascontiguousarray(x)), **sizes, pad_mode="constant", return_complex=True
        )
        for x in (wav, mono)
    )
    return torch.istft(torch.polar(binaural.abs(), downmix.angle()), **sizes, length=wav.shape[1]).numpy()


def compared_wavs(p: Prediction, rate: int, slack: int) -> dict[str, tuple]:
    """Sounds to compare for one prediction.

    The oracle needs a mono file: it has the truth's magnitudes with the phase of that mono.

    ->  system -> (estimate, reference), (2, N) each, at `rate`
    """
    estimate, _ = read_wav(p.file, rate, channels=2)
    size = estimate.shape[-1]
    reference = matching_part(p.truth, read_wav(p.truth.file, rate, channels=2)[0], rate, size, slack=slack)
    mono = reference.mean(axis=0, keepdims=True)
    if p.mono:
        mono = matching_part(p.mono, read_wav(p.mono.file, rate, channels=1)[0], rate, size, slack=slack)
    pairs = with_anchors(p, estimate, reference, mono)
    if p.anchored and p.sources:
        copy, reference = pairs["mono_copy"]
        pairs[GEOMETRY] = by_geometry(copy[0], p), reference
    if p.anchored and p.mono:
        copy, reference = pairs["mono_copy"]
        pairs[ORACLE] = with_phase_of(copy[:1], reference, MelConfig()), reference
    return pairs


def by_geometry(mono: np.ndarray, p: Prediction) -> np.ndarray:
    """Both ears (2, N) of a mono (N,) by the directions of the sources in a prediction's recording."""
    cfg, (directions_at, head) = MelConfig(), p.sources
    frames = -(-len(mono) // cfg.hop)
    directions = directions_at(frame_times(p.truth.start, 0, frames, cfg))
    sound, nothing = torch.from_numpy(np.ascontiguousarray(mono)), torch.zeros(2, cfg.n_mels, frames)
    made = render(sound, nothing, cfg, GEOMETRY, directions, head=head_named(head))
    return made.numpy()[:, : len(mono)]


def compared_systems(clip: list[Prediction], rate: int) -> dict[str, tuple]:
    """:func:`compared_wavs` of all systems of a clip."""
    every = [compared_wavs(p, rate, slack=MelConfig.hop) for p in clip]
    return {system: pair for pairs in every for system, pair in pairs.items()}


def clip_figures(clip: list[Prediction], rate: int) -> list[dict]:
    """All metrics of a clip, one row per system."""
    return [
        {"id": clip[0].stem, "system": system, **measure(WAV_METRICS, *pair, rate)}
        for system, pair in compared_systems(clip, rate).items()
    ]


def mels_of_span(span: ClipSpan, sound: np.ndarray, size: int, cfg: MelConfig) -> np.ndarray:
    """Log mels (C, M, T) of a clip's part of a sound (C, N), for a prediction of `size` frames."""
    part = matching_part(span, sound, cfg.sample_rate, size * cfg.hop, slack=cfg.hop, block=cfg.hop)
    with naming(span.stem):
        return mel_spectrogram(torch.from_numpy(np.ascontiguousarray(part)), cfg).numpy()


def compared_mels(p: Prediction, cfg: MelConfig) -> dict[str, tuple]:
    """Log mels to compare for one prediction.

    Where the truth is mels and there is no --mono_dir, there is no mono copy.

    ->  system -> (estimate, reference), (2, M, T) each
    """
    estimate = load_mel_pair(p.file, cfg.n_mels)
    size = estimate.shape[-1]
    if isinstance(p.truth.file, tuple):
        known = load_mel_pair(p.truth.file, cfg.n_mels)
        known = matching_part(p.truth, known, cfg.sample_rate / cfg.hop, size, slack=1)
    else:
        wav, _ = read_wav(p.truth.file, cfg.sample_rate, channels=2)
        known = mels_of_span(p.truth, np.concatenate([wav, wav.mean(axis=0, keepdims=True)]), size, cfg)
    mono = known[2:]
    if p.mono:
        mono = mels_of_span(p.mono, read_wav(p.mono.file, cfg.sample_rate, channels=1)[0], size, cfg)
    return with_anchors(p, estimate, known[:2], mono)
