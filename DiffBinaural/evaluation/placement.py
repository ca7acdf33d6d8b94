"""Measurements of sounds that were placed at known positions."""

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.interaural import LEVEL_BAND, cues, gate
from DiffBinaural.evaluation.sound_quality import stoi
from DiffBinaural.heads.sphere import sphere_response
from DiffBinaural.position_utils import FOV, x_to_azimuth
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.mel import band_centres


def level(mel: np.ndarray, cfg: MelConfig) -> float:
    """Level difference right - left in dB of a (2, M, T) log mel: energy in LEVEL_BAND, gated frames."""
    band = np.digitize(band_centres(cfg), LEVEL_BAND) == 1
    power = np.exp(2 * mel.astype(float))
    left, right = power[:, :, gate(power.sum(axis=(0, 1)))][:, band].sum(axis=(1, 2))
    return float(10 * np.log10(right / left))


def sphere_level(mono_mel: np.ndarray, azimuth: float, cfg: MelConfig) -> float:
    """The :func:`level` of a mono sound (1, M, T) from an azimuth at the ears of a rigid sphere, no room."""
    common, differing = sphere_response(np.sin(np.radians([azimuth])), cfg.sample_rate, cfg.n_fft)
    hz, bins = band_centres(cfg), np.fft.rfftfreq(cfg.n_fft, 1 / cfg.sample_rate)
    gains = [np.interp(hz, bins, ear[0].abs().numpy()) for ear in (common - differing, common + differing)]
    return level(mono_mel + np.log(gains)[:, :, None], cfg)


def measure_position(folder: Path, mono_dir: Path) -> list[dict]:
    """Direction and intelligibility of the rendered sounds of one position of a sweep.

    folder    x_<position> with <video_id>_<ms>.wav, two ears each, of whole recordings
    mono_dir  <video_id>.wav, the mono sounds
    ->        rows {"folder", "id", "x", "azimuth" (degrees), "itd_us", "ild_db": medians over audible frames,
              positive right; "stoi" of the ears against the mono, averaged; "wrong": the azimuth is over 5°
              and the time or level difference has the opposite sign}
    """
    x = float(folder.name[2:])
    azimuth, rows = float(x_to_azimuth(x, FOV)), []
    for path in sorted(folder.glob("*.wav")):
        pair, rate = read_wav(path, channels=2)
        mono, _ = read_wav(mono_dir / f"{path.stem.rpartition('_')[0]}.wav", rate, 1)
        itd, ild = (float(np.nanmedian(values)) for _, values in cues(pair, rate).values())
        size = min(pair.shape[1], mono.shape[1])
        wrong = abs(azimuth) > 5 and not (itd * azimuth > 0 and ild * azimuth > 0)
        clear = float(stoi(pair[:, :size], mono[:, :size].repeat(2, axis=0), rate))
        rows.append(
            {
                "folder": folder.name,
                "id": path.stem,
                "x": x,
                "azimuth": azimuth,
                "itd_us": itd,
                "ild_db": ild,
                "stoi": clear,
                "wrong": wrong,
            }
        )
    if not rows:
        raise FileNotFoundError(f"{folder}: no wavs")
    return rows


def position_figures(rows: list[dict]) -> dict:
    """Summary of :func:`measure_position`'s rows: ranges [least, most], n, number on the wrong side."""
    ranges = {
        name: [min(row[name] for row in rows), max(row[name] for row in rows)]
        for name in ("itd_us", "ild_db", "stoi")
    }
    wrong = sum(row["wrong"] for row in rows)
    return {"x": rows[0]["x"], "azimuth": rows[0]["azimuth"], **ranges, "n": len(rows), "wrong": wrong}


def curves(rows: list[dict], name: str) -> np.ndarray:
    """A column of the rows, (clips, positions)."""
    return np.array([row[name] for row in rows]).reshape(-1, len({row["x"] for row in rows}))


def rises(rows: list[dict]) -> float:
    """Spearman correlation of position and level difference, mean over clips; NaN where one never changes."""
    pairs = zip(curves(rows, "x"), curves(rows, "ild_db"), strict=True)
    return float(np.mean([spearmanr(x, ild).statistic if np.ptp(ild) else np.nan for x, ild in pairs]))
