"""Simulate binaural scenes with video:  python DiffBinaural/simulate_dataset.py --out data/sim --clips 24"""

from DiffBinaural.fairplay.simulated import write_download
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.simulation.writer import write_dataset
from DiffBinaural.utils.arguments import run


def main(cfg: SimulateConfig) -> None:
    """Simulate a dataset in the layout that is asked for."""
    (write_download if cfg.layout == "fairplay" else write_dataset)(cfg)


if __name__ == "__main__":
    run(main)
