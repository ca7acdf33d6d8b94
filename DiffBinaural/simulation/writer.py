"""Writer of simulated datasets."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import write_sounds, write_split
from DiffBinaural.dataset.recordings import DETECTIONS, FRAMES
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.material import material_of
from DiffBinaural.simulation.scenes import (
    Scene,
    draw_setting,
    ground_truth,
    scene_seeds,
    simulate,
)
from DiffBinaural.simulation.signals import recordings
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, read_json, replacing, write_json, write_rows
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media_writing import write_picture, write_video
from DiffBinaural.utils.processes import parallel_map

PATTERNS = ("processed/*/", "processed/*/*/", "*/")  # folders with files that an interrupted run leaves
# settings that are stated only where they are used, so that datasets without them are those of before
OPTIONAL = ("cutouts", "backgrounds", "varied_fraction", "box_noise", "audio_speed")
COLUMNS = "video_id,frame,x1,y1,x2,y2,score,label,track"
Sounding = Callable[[Scene], np.ndarray]  # a scene -> (tracks, K) probability that each sounds, by picture


def write_dataset(cfg: SimulateConfig, sounding: Sounding | None = None) -> None:
    """Simulate a dataset to train on; its lists are written last, when all clips are complete.

    sounding  estimates what a column of the detections states; without it there is none
    """
    root, seeds = Path(cfg.out), scene_seeds(cfg)
    drawn = {clip_name(number): draw_setting(seed, cfg) for number, seed in enumerate(seeds)}
    settings = {
        **common_settings(cfg),
        "seconds": cfg.seconds,
        "bystanders": cfg.bystanders,
        "video_fps": cfg.video_fps or cfg.fps,
        "sounding": cfg.sounding,
        "frame_size": cfg.frame_size,
        "sample_rate": RATE,
        "fov": common_value({name: setting["fov"] for name, setting in drawn.items()}),
        "head": common_value({name: setting["head"] for name, setting in drawn.items()}),
    }
    work = partial(write_scene, cfg=cfg, files=recording_files(cfg), sounding=sounding)
    claim(root / "dataset.json", {**settings, **unused(cfg, root / "dataset.json")}, "processed")
    with locked(root, SINGLE_PROCESS, *PATTERNS):
        write_lists_of_scenes(cfg, parallel_map(work, range(cfg.clips), cfg.workers))


def common_value(values: dict):
    """The value that all clips have in common, else a dict of all: {id: value}."""
    return next(iter(values.values())) if len(set(values.values())) == 1 else values


def common_settings(cfg: SimulateConfig) -> dict:
    """Settings that both layouts keep in their JSON; two of its keys are older than the flags' names."""
    names = (
        "sources",
        "room",
        "dry_fraction",
        "fps",
        "head_radius",
        "clips",
        "held_out",
        "audio_dir",
        "motion",
    )
    keys = {"dry_fraction": "dry_share", "audio_fraction": "audio_share"}
    names = (*names, "audio_fraction", "seed", *(name for name in OPTIONAL if used(cfg, name)))
    return {keys.get(name, name): getattr(cfg, name) for name in names}


def used(cfg: SimulateConfig, name: str) -> bool:
    """Whether an optional setting differs from its default."""
    return getattr(cfg, name) != getattr(SimulateConfig, name)


def unused(cfg: SimulateConfig, path: Path) -> dict:
    """Optional settings of a dataset's JSON that this config leaves out: such a dataset is another one."""
    stated = read_json(path) if path.exists() else {}
    return {name: getattr(cfg, name) for name in OPTIONAL if name in stated and not used(cfg, name)}


def recording_files(cfg: SimulateConfig) -> tuple[Path, ...]:
    """Dry recordings for the scenes; () for built-in sounds.  Picture files are checked along with them."""
    material_of(cfg)
    return recordings(cfg.audio_dir) if cfg.audio_dir else ()


def simulate_clip(number: int, seconds: float, cfg: SimulateConfig, files: tuple[Path, ...]) -> Scene:
    """Simulate the scene of a clip by its number, from 0 on."""
    seed = scene_seeds(cfg)[number]
    return simulate(
        seed,
        seconds=seconds,
        sources=cfg.sources,
        bystanders=cfg.bystanders,
        motion=cfg.motion,
        fps=cfg.fps,
        video_fps=cfg.video_fps,
        files=files,
        recorded_fraction=cfg.audio_fraction,
        speeds=cfg.audio_speed,
        frame=cfg.frame_size,
        material=material_of(cfg),
        box_noise=cfg.box_noise,
        **draw_setting(seed, cfg),
    )


def clip_name(number: int) -> str:
    """Name of a clip by its number, from 0 on."""
    return f"scene_{number:05d}"


def write_scene(
    number: int, cfg: SimulateConfig, files: tuple[Path, ...], sounding: Sounding | None = None
) -> Scene:
    """Simulate a clip, write its sounds, pictures and video; return it without these."""
    root, name = Path(cfg.out), clip_name(number)
    scene = simulate_clip(number, cfg.seconds, cfg, files)
    write_sounds(root, name, scene.binaural)
    for k, picture in enumerate(scene.frames, start=1):
        with replacing(root / FRAMES / f"{name}/frame_{k:06d}.jpg") as path:
            write_picture(path, picture)
    with replacing(root / f"videos/{name}.mp4") as path:
        write_video(path, scene.video, cfg.video_fps or cfg.fps, scene.binaural.mean(0, keepdims=True), RATE)
    return replace(
        scene,
        binaural=scene.binaural[:, :0],
        frames=scene.frames[:0],
        video=scene.video[:0],
        sounding=sounding and sounding(scene),
    )


def write_lists_of_scenes(cfg: SimulateConfig, clips: list[Scene]) -> None:
    """Write ground truth, detections and splits.  clips: of :func:`write_scene`"""
    root, held_out = Path(cfg.out), cfg.held_out or max(1, round(cfg.clips / 7))
    splits = ["train"] * (cfg.clips - 2 * held_out) + ["val"] * held_out + ["test"] * held_out
    scenes = {}
    rows: dict[str, list[tuple]] = {split: [] for split in splits}
    for number, (seed, scene, split) in enumerate(zip(scene_seeds(cfg), clips, splits, strict=True)):
        sources, name = scene.sources, clip_name(number)
        scenes[name] = {
            "seed": seed,
            "split": split,
            **draw_setting(seed, cfg),
            "rt60": scene.rt60 and round(scene.rt60, 3),
            "sources": ground_truth(sources),
            "bystanders": ground_truth(scene.bystanders),
        }
        label = "+".join(s.family for s in sources)
        rows[split].append((name, 0.0, round(cfg.seconds * RATE) / RATE, label))
    write_json(root / "scenes.json", scenes)
    write_detections(root / DETECTIONS, cfg, clips)
    for split in rows:
        write_split(root, split, rows[split])


def write_detections(path: Path, cfg: SimulateConfig, clips: Sequence[Scene]) -> None:
    """Write the boxes of all objects as they are detected, whether they sound or not.

    A column `time` is added where the mp4 has another rate than the frames, whose numbers would otherwise be
    taken for the mp4's; a column `sounding` where it was estimated.
    """
    timed, estimated = cfg.video_fps not in (None, cfg.fps), any(c.sounding is not None for c in clips)
    rows: list[tuple] = []
    for number, scene in enumerate(clips):
        labels = [source.label for source in scene.objects]
        for number_of_track, found in enumerate(scene.detected):
            for k, box, score in zip(found.at.tolist(), found.boxes, found.scores, strict=True):
                row = (clip_name(number), k + 1, *box.round(2), score, labels[found.thing], found.track)
                row += (round(k / cfg.fps, 6),) * timed
                if scene.sounding is not None:
                    row += (round(float(scene.sounding[number_of_track, k]), 3),)
                rows.append(row)
    write_rows(path, COLUMNS + ",time" * timed + ",sounding" * estimated, rows)
