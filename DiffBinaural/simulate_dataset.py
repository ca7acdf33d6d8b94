"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

from functools import partial
from pathlib import Path

from DiffBinaural.dataset.dataset_real_binaural import DETECTIONS, FRAMES, write_sounds, write_split
from DiffBinaural.fairplay import simulated as fairplay
from DiffBinaural.fairplay.download import DOWNLOADED_RATE, FOLDERS
from DiffBinaural.simulation.appearance import FRAME
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.scenes import Source, draw_setting, simulate, truth_of
from DiffBinaural.simulation.signals import recordings
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, replacing, write_json, write_rows
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media_writing import write_picture, write_video
from DiffBinaural.utils.processes import parallel_map


def make(clip: tuple[int, int], cfg: SimulateConfig, files: tuple[Path, ...]) -> tuple[Source, ...]:
    """Simulate and write one clip, given its number and seed, in a process of its own."""
    (number, seed), root, real = clip, Path(cfg.out), cfg.layout == "real"
    seconds = cfg.seconds if real else fairplay.seconds(number)
    scene = simulate(
        seed,
        seconds=seconds,
        sources=cfg.sources,
        fps=cfg.fps,
        files=files,
        recorded=cfg.audio_share,
        **draw_setting(seed, cfg),
    )
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


def write_real_lists(root: Path, cfg: SimulateConfig, casts: dict[tuple[int, int], tuple]) -> None:
    """Write truth, boxes and splits of clips to train on."""
    few = cfg.held_out or max(1, round(cfg.clips / 7))
    splits = ["train"] * (cfg.clips - 2 * few) + ["val"] * few + ["test"] * few
    scenes, rows, boxes = {}, {split: [] for split in splits}, []
    for ((number, seed), cast), split in zip(casts.items(), splits, strict=True):
        name = f"scene_{number:05d}"
        scenes[name] = {"seed": seed, "split": split, **draw_setting(seed, cfg), "sources": truth_of(cast)}
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
    # a seed of its own for every clip: no scene appears twice, in two splits or in two datasets
    clips = [(number, cfg.seed * 100_000 + number) for number in range(cfg.clips)]
    fovs = {f"scene_{number:05d}": draw_setting(seed, cfg)["fov"] for number, seed in clips}
    named = (
        "sources",
        "room",
        "dry_share",
        "fps",
        "head_radius",
        "clips",
        "held_out",
        "audio_dir",
        "audio_share",
        "seed",
        *(("seconds",) if real else ("layout",)),
    )
    settings = {
        **{name: getattr(cfg, name) for name in named},
        "frame_size": FRAME,
        "sample_rate": RATE if real else DOWNLOADED_RATE,
        "fov": cfg.fov[0] if cfg.fov[0] == cfg.fov[1] else fovs,
    }
    truth = root / ("dataset.json" if real else "simulated.json")
    claim(truth, settings, *(["processed"] if real else FOLDERS))
    with locked(root, SINGLE_PROCESS, "processed/*/", "processed/*/*/", "*/"):
        casts = dict(
            zip(clips, parallel_map(partial(make, cfg=cfg, files=files), clips, cfg.workers), strict=True)
        )
        if real:
            write_real_lists(root, cfg, casts)
        else:
            fairplay.write_lists(root, cfg.clips, cfg.seed)
            scenes = {f"{number + 1:06d}": truth_of(cast) for (number, _), cast in casts.items()}
            write_json(truth, {**settings, "scenes": scenes})


if __name__ == "__main__":
    run(main)
