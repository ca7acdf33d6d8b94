"""What is heard, seen of a sound: versions of one level, spectrograms, differences of the ears."""

from pathlib import Path

import numpy as np
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.interaural import cues
from DiffBinaural.evaluation.report import mels_of, scaled
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.utils.audio import is_sound_file, read_wav, resample, write_wav
from DiffBinaural.utils.media import read_sound, sound_delay
from DiffBinaural.utils.mel_stream import Columns
from DiffBinaural.utils.plots import MEL_TICKS, mel_png, mel_ticks

PIECE = 30  # seconds whose differences between the ears are computed at once: they need memory
WIDEST = 2048  # pixels of a spectrogram
ALIKE = 1e-4  # of full scale: what differs less between two channels is the same in both
RATE = MelConfig.sample_rate


def write_mono(source: Path, path: Path, rate: int) -> float:
    """Write the mono sound of a film or a sound file at `rate` Hz.  -> its root mean square"""
    audio, blocks, last = AudioSource(source, 0.0, float("inf"), rate), [], False
    while not last:
        block, last = audio.read()
        blocks.append(block)
    wav = torch.cat(blocks, dim=-1).numpy() / audio.gain
    write_wav(path, wav, rate)
    return level(wav)


def write_own_stereo(source: Path, path: Path, rate: int) -> float | None:
    """Write a file's own stereo at `rate` Hz.  -> its root mean square; None where it has none"""
    alone = is_sound_file(source)
    wav, own = read_wav(source) if alone else read_sound(source)
    if len(wav) != 2 or np.abs(wav[0] - wav[1]).max() < ALIKE:
        return None
    late = 0 if alone else round(sound_delay(source) * own)
    wav = resample(np.pad(wav, [(0, 0), (late, 0)]), own, rate)
    write_wav(path, wav, rate)
    return level(wav)


def level(wav: np.ndarray) -> float:
    """Root mean square of all samples (C, N)."""
    return float(np.sqrt(np.mean(np.square(wav, dtype=float)))) if wav.size else 0.0


def matching_gains(levels: dict[str, float]) -> dict[str, float]:
    """Factors, at most 1, with which all sounds are as loud as the softest; silent ones stay as they are."""
    softest = min((value for value in levels.values() if value > 0), default=0.0)
    return {name: softest / value if value > 0 else 1.0 for name, value in levels.items()}


def write_spectrograms(wav: np.ndarray, left: Path, right: Path) -> None:
    """Draw the mels of both ears (2, N), at RATE Hz, as PNGs."""
    columns = Columns(WIDEST)
    columns.add(torch.from_numpy(mels_of(wav)))
    for path, mel in zip((left, right), columns.made.numpy(), strict=True):
        path.write_bytes(mel_png(mel))


def mel_axis() -> list[list]:
    """Ticks of a spectrogram: [text, fraction of its height from below]."""
    bands = zip(MEL_TICKS, mel_ticks(MelConfig()), strict=True)
    return [[f"{hz / 1000:g}k", (band + 0.5) / MelConfig.n_mels] for hz, band in bands]


def differences(sounds: dict[str, np.ndarray]) -> list[dict]:
    """Curves of level and time difference between the ears over time, for sounds (2, N) at RATE Hz.

    ->  [{"title", "limit", "paths": {name: SVG path in seconds across, -1 … 1 of limit upwards}}]
    """
    lines = {name: _joined(wav) for name, wav in sounds.items()}
    return [scaled(title, lines) for title in next(iter(lines.values()))]


def _joined(wav: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """interaural.cues, piece by piece; what is audible is decided within each."""
    step, made = PIECE * RATE, {}
    for start in range(0, max(wav.shape[1], 1), step):
        for title, (seconds, values) in cues(wav[:, start : start + step], RATE).items():
            made.setdefault(title, []).append((seconds + start / RATE, values))
    return {
        title: tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        for title, parts in made.items()
    }
