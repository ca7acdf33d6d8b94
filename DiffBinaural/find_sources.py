"""Find the sources in videos, with the probability that each of them sounds:

python DiffBinaural/find_sources.py --input clip.mp4 --output detection_results.csv
"""

from DiffBinaural.inference.discovery import FindConfig, find_all
from DiffBinaural.utils.arguments import run


def main(cfg: FindConfig) -> None:
    """Write the detections of a video, a folder of pictures or a dataset; print the file's name."""
    print(find_all(cfg))


if __name__ == "__main__":
    run(main)
