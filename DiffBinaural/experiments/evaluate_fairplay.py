"""Average the metrics of FAIR-Play's splits, separately for each family of splits:

python DiffBinaural/experiments/evaluate_fairplay.py --results generated/fairplay

The standard error is over splits.  The test lists of the five scene-disjoint splits overlap, so their means
are not independent.
"""

from DiffBinaural.evaluation.aggregation import format_table, over_splits
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.experiments.config import SplitsConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import write_json

FAMILIES = {"split": "original splits, 10 in all", "five_split": "scene-disjoint splits, 5 in all"}


def main(cfg: SplitsConfig) -> None:
    """Average each family of splits, write and print."""
    rows = {}
    for family, title in FAMILIES.items():
        systems, found = over_splits(cfg.results, family)
        if found:
            rows[title] = systems
            print(f"{len(found)} {title}: {', '.join(found)}\n{format_table(systems, METRICS)}\n")
    if not rows:
        raise FileNotFoundError(f"{cfg.results}: no split1/metrics.json there, nor any other split's")
    if cfg.output_json:
        write_json(cfg.output_json, rows)


if __name__ == "__main__":
    run(main)
