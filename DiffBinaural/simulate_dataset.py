"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

from functools import partial

from DiffBinaural.fairplay.simulated import write_download
from DiffBinaural.simulation.attention import seeming
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.simulation.writer import write_dataset
from DiffBinaural.utils.arguments import run


def main(cfg: SimulateConfig) -> None:
    """Simulate a dataset in the layout that is asked for."""
    if cfg.layout == "fairplay":
        return write_download(cfg)
    rates = dict(fps=cfg.fps, video_fps=cfg.video_fps or cfg.fps)
    write_dataset(cfg, partial(seeming, **rates) if cfg.sounding else None)


if __name__ == "__main__":
    run(main)
