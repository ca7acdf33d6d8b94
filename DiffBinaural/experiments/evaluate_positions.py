"""Measure the direction of sounds at given positions, with their intelligibility:

python DiffBinaural/experiments/evaluate_positions.py --placed generated/positions/wavs \\
    --mono_dir data/real/processed/mono_audios_22050Hz
"""

from pathlib import Path

from DiffBinaural.evaluation.placement import measure_position, position_figures
from DiffBinaural.experiments.config import PositionsConfig
from DiffBinaural.experiments.tables import position_table
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import write_json


def main(cfg: PositionsConfig) -> None:
    """Print a row for each folder x_<position> of wavs, with the number of sounds on the wrong side."""
    folders = sorted(Path(cfg.placed).glob("x_*"), key=lambda folder: float(folder.name[2:]))
    if not folders:
        raise FileNotFoundError(
            f"{cfg.placed}: no folders x_-1.00 …; test_pos.py --sweep makes "
            "such folders of mels, a renderer those of wavs"
        )
    rows = [row for folder in folders for row in measure_position(folder, Path(cfg.mono_dir))]
    print(position_table([position_figures([r for r in rows if r["folder"] == f.name]) for f in folders]))
    if cfg.output_json:
        write_json(cfg.output_json, rows)


if __name__ == "__main__":
    run(main)
