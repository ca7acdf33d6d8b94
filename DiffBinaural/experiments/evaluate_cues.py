"""Measure the interaural cues of sounds, second by second:

python DiffBinaural/experiments/evaluate_cues.py --output_json cues.json \\
    --wavs model=out.wav geometry=geometry.wav
"""

from tabulate import tabulate

from DiffBinaural.experiments.config import CuesConfig
from DiffBinaural.experiments.cues import cues_by_second
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import write_json


def main(cfg: CuesConfig) -> None:
    """Print a row for each sound and cue, a column for each second."""
    systems = {name: cues_by_second(*read_wav(path, channels=2)) for name, path in cfg.files.items()}
    rows = [[name, title, *values] for name, found in systems.items() for title, values in found.items()]
    print(tabulate(rows, floatfmt="+.1f", tablefmt="github"))
    if cfg.output_json:
        write_json(cfg.output_json, systems)


if __name__ == "__main__":
    run(main)
