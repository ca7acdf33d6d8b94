"""Check whether the two channels of videos agree with their pictures, are swapped, or mono:

python DiffBinaural/check_ears.py --input clip.mp4
python DiffBinaural/check_ears.py --input data/real --output ears.csv
"""

from DiffBinaural.inference.ear_checks import check_all_ears
from DiffBinaural.inference.ear_films import EarsConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import written


def main(cfg: EarsConfig) -> None:
    """Print a line for each video; with --output write them to a CSV, too."""
    for video_id, check in check_all_ears(cfg):
        print(f"{video_id}: {check.verdict} ({check.confidence:.2f}): {check.reason}")
    if cfg.output:
        print(written(cfg.output))


if __name__ == "__main__":
    run(main)
