"""A mono sound placed by hand: its source where the caller wants it, and the level difference that comes."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, PlaceConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.video_transforms import whole_only
from DiffBinaural.generation import clips_of, generate_pair, load_models
from DiffBinaural.metrics import LEVEL_BAND, cues, gate, stoi
from DiffBinaural.position_utils import FOV, sphere_response, x_to_azimuth
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.helpers import band_centres, read_wav, save_mel_pair, write_mel_config
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.plots import Columns, draw_generated

UNDETECTED = 0.25  # half-size of a whole picture that stands for a source


def place(clip: dict, x: float, y: float) -> dict:
    """A clip whose source stands at (x, y) in every picture of FOV degrees, x from -1 to 1, right, y upwards.

    The best detected source of each picture (the whole picture, shrunk to a quarter, where none was detected)
    is pasted on a plain ground in the picture's mean colour; all other sources vanish.

    clip  item of a WholeClips dataset, with objects
    """
    objects, box, slots = torch.zeros_like(clip["objects"]), clip["box"].clone(), clip["mask"].shape[1]
    box[:, 0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for p, picture in enumerate(clip["objects"]):
        detected = int(slots > 1 and not clip["mask"][p, 1])
        half = clip["box"][p, 1, 2:].tolist() if detected else [UNDETECTED, UNDETECTED]
        objects[p, 0] = pasted(picture[0], picture[detected], (x, y, *half))
        objects[p, 1:2] = picture[detected]
        box[p, 1:2] = torch.tensor([x, y, *half])
    mask = torch.arange(slots).expand_as(clip["mask"]) > 1
    return {**clip, "objects": objects, "box": box, "mask": mask}


def pasted(picture: Tensor, look: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """A plain ground in a picture's mean colour with a look in a box on it, as far as that is inside.

    picture, look  (3, H, W) uint8.  box: centre and half-sizes in [-1, 1], y upwards
    """
    size, ground = picture.shape[-1], picture.float().mean((1, 2), keepdim=True)
    canvas = ground.round().to(torch.uint8).expand_as(picture).clone()
    x, y, wide, high = box
    width, height = max(round(wide * size), 1), max(round(high * size), 1)
    look = F.interpolate(look[None].float(), (height, width), mode="area")[0].round().to(torch.uint8)
    left, top = round((x + 1) / 2 * size - width / 2), round((1 - y) / 2 * size - height / 2)
    inside = look[:, max(-top, 0) : max(size - top, 0), max(-left, 0) : max(size - left, 0)]
    top, left = max(top, 0), max(left, 0)
    canvas[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return canvas


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


def positions(cfg: PlaceConfig) -> list[tuple[float, float]]:
    """Where the command line wants the source: one place, or a sweep from left to right."""
    return [(float(x), 0.0) for x in np.linspace(-1, 1, cfg.positions)] if cfg.sweep else [cfg.override_pos]


def place_all(dataset_class: type[RealBinaural], cfg: PlaceConfig) -> list[dict]:
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
            mine = [(i, xy) for i in job.share(range(len(data))[: cfg.limit]) for xy in places]
            for i, (x, y) in tqdm(mine, desc="placing", unit="sound", disable=not job.first):
                clip = place(data[i], x, y)
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
        shares = [rows[k : k + len(places)] for k in range(0, len(rows), len(places))]
        every = job.gather(shares)
        return [row for share in every for row in share] if job.first else []


def heard_at(folder: Path, mono_dir: Path) -> list[dict]:
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
