"""Generation of clips with the sources at given positions."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.dataset.frame_sources import WithoutDetections
from DiffBinaural.dataset.trajectories import Waypoint, read_trajectory
from DiffBinaural.evaluation.placement import level, sphere_level
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.inference.generation import clip_directions, clips_of, generate_pair
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.placement import PlacedSources, waypoint_at
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.mel import frame_times
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config
from DiffBinaural.utils.mel_stream import Columns
from DiffBinaural.utils.plots import draw_generated
from DiffBinaural.utils.progress import Progress


class Placement(NamedTuple):
    """Where the sources of every clip are put."""

    folder: str  # inside the output folder
    position: dict[str, float]  # x, where there is a single one: a column of the rows
    points: list[Waypoint]


def placements(cfg: PlacementConfig) -> list[Placement]:
    """The trajectories, the position of --override_pos, or those of a sweep from left to right."""
    if cfg.trajectory_in:
        return [Placement("", {}, read_trajectory(cfg.trajectory_in))]
    if cfg.sweep:
        every = [float(x) for x in np.linspace(-1, 1, cfg.positions)]
        return [Placement(f"x_{x:+.2f}", {"x": x}, [waypoint_at(x, 0.0)]) for x in every]
    assert cfg.override_pos, "PlacementConfig has one of the three"
    return [Placement("", {"x": cfg.override_pos[0]}, [waypoint_at(*cfg.override_pos)])]


def generate_at_positions(dataset_class: Callable[..., WholeClips], cfg: PlacementConfig) -> list[dict]:
    """Generate every clip of a list at every position and write the mel pairs.

    A sweep writes a folder per position; otherwise each pair is drawn, too.

    -> rows {"id", "x", "azimuth" (degrees), "ild_db", "sphere_db"}, clip by clip, positive = right louder;
       all of them in the job's first process, an empty list in the others.  On trajectories there is no x,
       and the azimuth is :meth:`PlacedSources.mean_azimuth` over the clip
    """
    targets, rows = placements(cfg), []
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame, amp=cfg.amp)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        mel = data.mel
        with locked(cfg.output_dir, job, "x_*/"):
            mine = [(i, target) for i in job.shard(range(len(data))[: cfg.limit]) for target in targets]
            for i, target in Progress(mine, desc="placing", unit="sound", disable=not job.first):
                clip = data.without_pictures(i)
                placed = PlacedSources(clip["source"], target.points)
                clip["source"] = placed if cfg.detections else WithoutDetections(placed)
                times = frame_times(clip["times"][0], 0, clip["mono_mel"].shape[-1], mel)
                pair, azimuth = generate_pair(models, clip, cfg).numpy(), placed.mean_azimuth(times)
                folder = Path(cfg.output_dir) / target.folder
                directions = clip_directions(clip, models[0].cfg).numpy() if models[0].slots else None
                save_mel_pair(folder, clip["stem"], pair, directions, clip["head"])
                write_mel_config(folder, mel)
                if not cfg.sweep:  # a sweep is drawn as one curve
                    columns = Columns()
                    columns.add(clip["mono_mel"])
                    draw_generated(folder / f"{clip['stem']}.png", columns, [torch.from_numpy(pair[:2])], mel)
                rows.append(
                    {
                        "id": clip["stem"],
                        **target.position,
                        "azimuth": azimuth,
                        "ild_db": level(pair[:2], mel),
                        "sphere_db": sphere_level(clip["mono_mel"].numpy(), azimuth, mel),
                    }
                )
        shards = [rows[k : k + len(targets)] for k in range(0, len(rows), len(targets))]
        every = job.gather(shards)
        return [row for shard in every for row in shard] if job.first else []
