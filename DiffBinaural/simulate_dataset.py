"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

from functools import partial
from pathlib import Path

import numpy as np

from DiffBinaural import fairplay
from DiffBinaural.configs.advanced_diffusion_config import SimulateConfig
from DiffBinaural.dataset.dataset_real_binaural import DETECTIONS, FRAMES, write_sounds, write_split
from DiffBinaural.looks import FOV, FRAME
from DiffBinaural.scenes import RATE, Source, simulate
from DiffBinaural.sounds import recordings
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import claim, replacing, write_json, write_rows
from DiffBinaural.utils.helpers import spread
from DiffBinaural.utils.media import write_picture, write_video


def make(clip: tuple[int, int], cfg: SimulateConfig, files: tuple[Path, ...]) -> tuple[Source, ...]:
    """Simulate and write one clip, given its number and seed, in a process of its own."""
    (number, seed), root, real = clip, Path(cfg.out), cfg.layout == "real"
    seconds = cfg.seconds if real else fairplay.seconds(number)
    scene = simulate(seed, seconds=seconds, sources=cfg.sources, room=cfg.room, fps=cfg.fps, files=files)
    if not real:
        fairplay.write_clip(root, number, scene.binaural, RATE, scene.frames, cfg.fps)
        return scene.sources
    name = f"scene_{number:05d}"
    write_sounds(root, name, scene.binaural)
    for k, picture in enumerate(scene.frames, start=1):
        with replacing(root / FRAMES / f"{name}/frame_{k:06d}.jpg") as path:
            write_picture(path, picture)
    with replacing(root / f"videos/{name}.mp4") as path:
        write_video(path, scene.frames, cfg.fps, scene.binaural.mean(0, keepdims=True), RATE)
    return scene.sources


def heard(cast: tuple[Source, ...]) -> list[dict]:
    """The truth about a scene: what sounds in it, and where (degrees, in each picture)."""
    return [{"family": s.family, "azimuth": np.round(s.azimuth, 3).tolist()} for s in cast]


def write_real_lists(root: Path, cfg: SimulateConfig, casts: dict[tuple[int, int], tuple]) -> None:
    """Write truth, boxes and splits of clips to train on."""
    held_out = max(1, round(cfg.clips / 7))
    splits = ["train"] * (cfg.clips - 2 * held_out) + ["val"] * held_out + ["test"] * held_out
    scenes, rows, boxes = {}, {split: [] for split in splits}, []
    for ((number, seed), cast), split in zip(casts.items(), splits, strict=True):
        name = f"scene_{number:05d}"
        scenes[name] = {"seed": seed, "split": split, "sources": heard(cast)}
        rows[split].append((name, 0.0, round(cfg.seconds * RATE) / RATE, "+".join(s.family for s in cast)))
        boxes += [(name, k, *box.round(2), 1.0, s.family) for s in cast for k, box in enumerate(s.boxes, 1)]
    write_json(root / "scenes.json", scenes)
    write_rows(root / DETECTIONS, "video_id,frame,x1,y1,x2,y2,score,label", boxes)
    for split in rows:
        write_split(root, split, rows[split])


def main(cfg: SimulateConfig) -> None:
    """Claim the folder, make the clips, then write the lists: a folder that has them is complete."""
    root, real = Path(cfg.out), cfg.layout == "real"
    files = recordings(cfg.audio_dir) if cfg.audio_dir else ()
    settings = {**({"seconds": cfg.seconds} if real else {"layout": cfg.layout}),
                "sources": list(cfg.sources), "room": cfg.room, "fps": cfg.fps, "frame_size": list(FRAME),
                "sample_rate": RATE if real else fairplay.DOWNLOADED_RATE, "fov": FOV, "clips": cfg.clips,
                "audio_dir": cfg.audio_dir, "seed": cfg.seed}
    truth = root / ("dataset.json" if real else "simulated.json")
    claim(truth, settings, *(["processed"] if real else fairplay.FOLDERS))
    # a seed of its own for every clip: no scene appears twice, in two splits or in two datasets
    clips = [(number, cfg.seed * 100_000 + number) for number in range(cfg.clips)]
    casts = dict(zip(clips, spread(partial(make, cfg=cfg, files=files), clips, cfg.workers), strict=True))
    if real:
        write_real_lists(root, cfg, casts)
    else:
        fairplay.write_lists(root, cfg.clips, cfg.seed)
        write_json(truth, {**settings, "scenes": {f"{k + 1:06d}": heard(c) for (k, _), c in casts.items()}})


if __name__ == "__main__":
    run(main)
