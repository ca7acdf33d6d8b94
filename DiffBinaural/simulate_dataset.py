"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

import csv
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import SimulateConfig
from DiffBinaural.looks import FOV, FRAME
from DiffBinaural.scenes import RATE, Source, simulate
from DiffBinaural.sounds import recordings
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.helpers import read_json, replacing, write_json, write_wav
from DiffBinaural.utils.media import write_video

BOXES = "video_id,frame,x1,y1,x2,y2,score,label"


def claim(root: Path, wanted: dict) -> None:
    """Write dataset.json first: whoever comes later sees how the folder is made, even a half-made one."""
    theirs = read_json(root / "dataset.json") if (root / "dataset.json").exists() else {}
    differ = ", ".join(f"{k} {theirs.get(k)} (here {v})" for k, v in wanted.items() if v != theirs.get(k))
    if differ and (theirs or (root / "processed").exists()):
        raise ValueError(f"{root}: already holds another dataset: {differ}; give another --out or delete it")
    write_json(root / "dataset.json", wanted)


def make(clip: tuple[str, int], root: Path, **how) -> tuple[Source, ...]:
    """Simulate and write one clip, in a process of its own; mono is exactly (L+R)/2, one bit more than 16."""
    name, processed, scene = clip[0], root / "processed", simulate(clip[1], **how)
    mono = scene.binaural.mean(0, keepdims=True)
    write_wav(processed / f"binaural_audios_{RATE}Hz/{name}.wav", scene.binaural, RATE)
    write_wav(processed / f"mono_audios_{RATE}Hz/{name}.wav", mono, RATE, subtype="PCM_24")
    for number, picture in enumerate(scene.frames, start=1):
        with replacing(processed / f"frames/{name}/frame_{number:06d}.jpg") as path:
            Image.fromarray(picture).save(path, format="JPEG", quality=90)
    with replacing(root / f"videos/{name}.mp4") as path:
        write_video(path, scene.frames, how["fps"], mono, RATE)
    return scene.sources


def write_rows(path: Path, header: str, rows: list) -> None:
    """Write a CSV file, whole or not at all."""
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def main(cfg: SimulateConfig) -> None:
    """Claim the folder, make the clips, then write the lists: a folder that has them is complete."""
    root, held_out = Path(cfg.out), max(1, round(cfg.clips / 7))
    files = recordings(cfg.audio_dir) if cfg.audio_dir else ()
    how = dict(seconds=cfg.seconds, sources=cfg.sources, room=cfg.room, fps=cfg.fps)
    claim(root, {**how, "sources": list(cfg.sources), "frame_size": list(FRAME), "sample_rate": RATE,
                 "fov": FOV, "clips": cfg.clips, "audio_dir": cfg.audio_dir, "seed": cfg.seed})

    # a seed of its own for every clip: no scene appears twice, in two splits or in two datasets
    clips = [(f"scene_{k:05d}", cfg.seed * 100_000 + k) for k in range(cfg.clips)]
    splits = ["train"] * (cfg.clips - 2 * held_out) + ["val"] * held_out + ["test"] * held_out
    with ProcessPoolExecutor(cfg.workers or None, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        casts = list(tqdm(pool.map(partial(make, root=root, files=files, **how), clips), total=cfg.clips))

    scenes, rows, boxes = {}, {split: [] for split in splits}, []
    for (name, seed), split, cast in zip(clips, splits, casts, strict=True):
        heard = [{"family": s.family, "azimuth": np.round(s.azimuth, 3).tolist()} for s in cast]
        scenes[name] = {"seed": seed, "split": split, "sources": heard}
        rows[split].append((name, 0.0, round(cfg.seconds * RATE) / RATE, "+".join(s.family for s in cast)))
        boxes += [(name, k, *box.round(2), 1.0, s.family) for s in cast for k, box in enumerate(s.boxes, 1)]
    write_json(root / "scenes.json", scenes)
    write_rows(root / "action_detection_results/detection_results.csv", BOXES, boxes)
    for split in rows:
        write_rows(root / f"splits/{split}.csv", "video_id,start_time,end_time,action_label", rows[split])


if __name__ == "__main__":
    run(main)
