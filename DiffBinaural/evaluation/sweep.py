"""Generation of clips with the source at given positions."""

from pathlib import Path

import numpy as np
import torch

from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.video_transforms import whole_only
from DiffBinaural.evaluation.placement import level, sphere_level
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.inference.generation import clip_directions, clips_of, generate_pair
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.placement import move_source
from DiffBinaural.position_utils import FOV, x_to_azimuth
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config
from DiffBinaural.utils.plots import Columns, draw_generated
from DiffBinaural.utils.progress import Progress


def positions(cfg: PlacementConfig) -> list[tuple[float, float]]:
    """Positions (x, y) of the source: the one of --override_pos, or a sweep from left to right."""
    return [(float(x), 0.0) for x in np.linspace(-1, 1, cfg.positions)] if cfg.sweep else [cfg.override_pos]


def generate_at_positions(dataset_class: type[RealBinaural], cfg: PlacementConfig) -> list[dict]:
    """Generate every clip of a list at every position and write the mel pairs.

    A sweep writes a folder per position; a single position also draws each pair.

    -> rows {"id", "x", "azimuth" (degrees), "ild_db", "sphere_db"}, clip by clip, positive = right louder;
       all of them in the job's first process, an empty list in the others
    """
    targets, rows = positions(cfg), []
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        mel = data.mel
        with locked(cfg.output_dir, job, "x_*/"):
            mine = [(i, xy) for i in job.shard(range(len(data))[: cfg.limit]) for xy in targets]
            for i, (x, y) in Progress(mine, desc="placing", unit="sound", disable=not job.first):
                clip = move_source(data[i], x, y)
                if not cfg.detections:
                    clip["mask"] = whole_only(clip["mask"])
                    clip["directions"] = torch.zeros_like(clip["directions"])
                pair, azimuth = generate_pair(models, clip, cfg).numpy(), float(x_to_azimuth(x, FOV))
                folder = Path(cfg.output_dir) / f"x_{x:+.2f}" if cfg.sweep else Path(cfg.output_dir)
                places = clip_directions(clip, models[0].cfg).numpy() if models[0].slots else None
                save_mel_pair(folder, clip["stem"], pair, places, clip["head"])
                write_mel_config(folder, mel)
                if not cfg.sweep:  # a sweep is drawn as one curve
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
        shards = [rows[k : k + len(targets)] for k in range(0, len(rows), len(targets))]
        every = job.gather(shards)
        return [row for shard in every for row in shard] if job.first else []
