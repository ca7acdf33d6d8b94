"""Print the table of several kinds of scenes, for a page, from the metrics of each:

python DiffBinaural/evaluate_kinds.py --results generated/phase
"""

from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import KindsConfig
from DiffBinaural.evaluation import markdown_table, rows_of, summarise
from DiffBinaural.metrics import METRICS
from DiffBinaural.utils.arguments import run


def main(cfg: KindsConfig) -> None:
    """Read every kind's clips, average, print."""
    found = sorted(Path(cfg.results).glob("*/metrics.json"))
    if not found:
        raise FileNotFoundError(f"{cfg.results}: no <kind>/metrics.json there; "
                                "evaluate_binaural_22050.py --output_json writes it")
    if unknown := sorted(set(cfg.figures) - set(METRICS)):
        raise ValueError(f"--figures {' '.join(unknown)}: no such figure; there are {', '.join(METRICS)}")
    kinds = {path.parent.name.replace("_", " "): summarise(rows_of(path))["systems"] for path in found}
    print(markdown_table(kinds, cfg.figures, METRICS, cfg.systems))


if __name__ == "__main__":
    run(main)
