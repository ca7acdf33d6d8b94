"""Where sounds that were placed by hand are heard, and how intelligible they are, position by position:

python DiffBinaural/experiments/evaluate_positions.py --placed generated/places/wavs \\
    --mono_dir data/real/processed/mono_audios_22050Hz
"""

from pathlib import Path

from DiffBinaural.evaluation.placement import measure_position
from DiffBinaural.experiments.config import PositionsConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import write_json


def main(cfg: PositionsConfig) -> None:
    """Print a row for each folder x_<position> of wavs; count the sounds on the wrong side."""
    folders = sorted(Path(cfg.placed).glob("x_*"), key=lambda folder: float(folder.name[2:]))
    if not folders:
        raise FileNotFoundError(
            f"{cfg.placed}: no folders x_-1.00 …; test_pos.py --sweep makes "
            "such folders of mels, a renderer those of wavs"
        )
    rows = [row for folder in folders for row in measure_position(folder, Path(cfg.mono_dir))]
    print("| x | azimuth | ITD µs, least … most | ILD dB, least … most | STOI, least | wrong side |")
    print("| --- " * 6 + "|")
    for folder in folders:
        mine = [row for row in rows if row["folder"] == folder.name]
        itd, ild, stoi = (sorted(row[name] for row in mine) for name in ("itd_us", "ild_db", "stoi"))
        wrong = f"{sum(row['wrong'] for row in mine)} of {len(mine)}"
        print(
            f"| {mine[0]['x']:+.2f} | {mine[0]['azimuth']:+.1f}° | {itd[0]:+.0f} … {itd[-1]:+.0f} | "
            f"{ild[0]:+.1f} … {ild[-1]:+.1f} | {stoi[0]:.3f} | {wrong} |"
        )
    if cfg.output_json:
        write_json(cfg.output_json, rows)


if __name__ == "__main__":
    run(main)
