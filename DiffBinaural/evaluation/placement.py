"""Sounds placed by hand: generated, measured."""

from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.video_transforms import whole_only
from DiffBinaural.evaluation.interaural import LEVEL_BAND, cues, gate
from DiffBinaural.evaluation.sound_quality import stoi
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.inference.generation import clips_of, generate_pair
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.placement import move_source
from DiffBinaural.position_utils import FOV, sphere_response, x_to_azimuth
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.mel import band_centres
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config
from DiffBinaural.utils.plots import Columns, draw_generated


def level(mel: np.ndarray, cfg: MelConfig) -> float:
    """Level difference right - left in dB of a (2, M, T) log mel: energy in LEVEL_BAND, gated frames."""
    band = np.digitize(band_centres(cfg), LEVEL_BAND) == 1
    power = np.exp(2 * mel.astype(float))
    left, right = power[:, :, gate(power.sum(axis=(0, 1)))][:, band].sum(axis=(1, 2))
    return float(10 * np.log10(right / left))


def sphere_level(mono_mel: np.ndarray, azimuth: float, cfg: MelConfig) -> float:
    """The :func:`level` of a mono sound (1, M, T) that a rigid sphere hears from an azimuth, no room."""
    common, differing = sphere_response(np.sin(np.radians([azimuth])), cfg.sample_rate, cfg.n_fft)
    hz, bins = band_centres(cfg), np.fft.rfftfreq(cfg.n_fft, 1 / cfg.sample_rate)
    gains = [np.interp(hz, bins, ear[0].abs().numpy()) for ear in (common - differing, common + differing)]
    return level(mono_mel + np.log(gains)[:, :, None], cfg)


def positions(cfg: PlacementConfig) -> list[tuple[float, float]]:
    """Where the command line wants the source: one place, or a sweep from left to right."""
    return [(float(x), 0.0) for x in np.linspace(-1, 1, cfg.positions)] if cfg.sweep else [cfg.override_pos]


def generate_at_positions(dataset_class: type[RealBinaural], cfg: PlacementConfig) -> list[dict]:
    """Generate every clip of a list at every position and write the mel pairs.

    A sweep has a folder for each position; a single position has a picture of each pair.

    -> rows {"id", "x", "azimuth" (degrees), "ild_db", "sphere_db"}, clip by clip, positive = right louder;
       all of them in the job's first process, none in the others
    """
    places, rows = positions(cfg), []
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        mel = data.mel
        with locked(cfg.output_dir, job, "x_*/"):
            mine = [(i, xy) for i in job.shard(range(len(data))[: cfg.limit]) for xy in places]
            for i, (x, y) in tqdm(mine, desc="placing", unit="sound", disable=not job.first):
                clip = move_source(data[i], x, y)
                if not cfg.detections:
                    clip["mask"] = whole_only(clip["mask"])
                pair, azimuth = generate_pair(models, clip, cfg).numpy(), float(x_to_azimuth(x, FOV))
                folder = Path(cfg.output_dir) / f"x_{x:+.2f}" if cfg.sweep else Path(cfg.output_dir)
                save_mel_pair(folder, clip["stem"], pair)
                write_mel_config(folder, mel)
                if not cfg.sweep:  # whose curve says more than hundreds of pictures
                    columns = Columns()
                    columns.add(torch.cat([clip["mono_mel"], torch.from_numpy(pair[:2])]))
                    draw_generated(folder / f"{clip['stem']}.png", columns, mel)
                rows.append(
                    {
                        "id": clip["stem"],
                        "x": x,
                        "azimuth": azimuth,
                        "ild_db": level(pair[:2], mel),
                        "sphere_db": sphere_level(clip["mono_mel"].numpy(), azimuth, mel),
                    }
                )
        shards = [rows[k : k + len(places)] for k in range(0, len(rows), len(places))]
        every = job.gather(shards)
        return [row for shard in every for row in shard] if job.first else []


def measure_position(folder: Path, mono_dir: Path) -> list[dict]:
    """What rendered sounds of one position of a sweep say of it.

    folder    x_<position> with <video_id>_<ms>.wav, two ears each, of whole recordings
    mono_dir  <video_id>.wav, what was placed
    ->        rows {"folder", "id", "x", "azimuth" (degrees), "itd_us", "ild_db": medians over the frames that
              sound, positive right; "stoi" of the ears against the mono, averaged; "wrong": a source over 5°
              to a side of which time or level, or both, speak for the other}
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


def curves(rows: list[dict], name: str) -> np.ndarray:
    """A column of the rows, (clips, positions)."""
    return np.array([row[name] for row in rows]).reshape(-1, len({row["x"] for row in rows}))


def rises(rows: list[dict]) -> float:
    """Spearman correlation of position and level difference, mean over clips; NaN where one never changes."""
    pairs = zip(curves(rows, "x"), curves(rows, "ild_db"), strict=True)
    return float(np.mean([spearmanr(x, ild).statistic if np.ptp(ild) else np.nan for x, ild in pairs]))
