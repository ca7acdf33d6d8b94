"""Print the table of several kinds of scenes, for a page, from the metrics of each:

python DiffBinaural/evaluate_kinds.py --results generated/phase
"""

from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import KindsConfig
from DiffBinaural.evaluation import markdown_table, rows_of, summarise
from DiffBinaural.metrics import METRICS
from DiffBinaural.utils.arguments import run


def main(cfg: KindsConfig) -> None:
    """Read every kind's clips, average, print; with a baseline, kinds of one first word together too."""
    found = sorted(Path(cfg.results).glob("*/metrics.json"))
    if not found:
        raise FileNotFoundError(f"{cfg.results}: no <kind>/metrics.json there; "
                                "evaluate_binaural_22050.py --output_json writes it")
    if unknown := sorted(set(cfg.figures) - set(METRICS)):
        raise ValueError(f"--figures {' '.join(unknown)}: no such figure; there are {', '.join(METRICS)}")
    rows = {path.parent.name.replace("_", " "): rows_of(path) for path in found}
    kinds = {kind: summarise(of)["systems"] for kind, of in rows.items()}
    print(markdown_table(kinds, cfg.figures, METRICS, cfg.systems))
    if cfg.baseline:
        for family in dict.fromkeys(kind.split()[0] for kind in rows):         # 1, of 1 room and 1 no-room
            pooled = [row for kind, of in rows.items() if kind.split()[0] == family for row in of]
            kinds[f"{family}, all"] = summarise(pooled)["systems"]
        errors = tuple(name for name in cfg.figures if METRICS[name].better == "lower")
        print("", markdown_table(kinds, errors, METRICS, cfg.systems, cfg.baseline), sep="\n")


if __name__ == "__main__":
    run(main)
