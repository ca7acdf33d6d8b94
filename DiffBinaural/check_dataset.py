"""Check a dataset for what training would take in silence: one page, every suspect recording, worst first:

python DiffBinaural/check_dataset.py --data_root data/real

What was found is kept in <data_root>/check; recordings that have not changed are not checked again.
"""

from DiffBinaural.checking.config import CheckConfig
from DiffBinaural.checking.dataset import check_dataset
from DiffBinaural.utils.arguments import run


def main(cfg: CheckConfig) -> None:
    """Write the page; print what is suspect."""
    print(*check_dataset(cfg), sep="\n")


if __name__ == "__main__":
    run(main)
