"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

from functools import partial
from pathlib import Path

from DiffBinaural.fairplay.simulated import write_download
from DiffBinaural.simulation.attention import seeming
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.simulation.writer import write_dataset
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import ending


def main(cfg: SimulateConfig) -> None:
    """Simulate a dataset in the layout that is asked for."""
    if cfg.layout == "fairplay":
        write_download(cfg)
        script, words = "DiffBinaural/prepare_fairplay.py", {"fairplay_root": cfg.out, "out": "data/fairplay"}
        print(ending(cfg.out, f"a simulated download of {cfg.clips} clips", script, **words))
        return
    rates = dict(fps=cfg.fps, video_fps=cfg.video_fps or cfg.fps)
    write_dataset(cfg, partial(seeming, **rates) if cfg.sounding else None)
    script, words = "DiffBinaural/train_realBinaural.py", {"id": Path(cfg.out).name, "data_root": cfg.out}
    print(ending(cfg.out, f"{cfg.clips} clips", script, **words))


if __name__ == "__main__":
    run(main)
