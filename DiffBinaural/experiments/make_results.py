"""Run the small experiments that are not done yet; write RESULTS.md and its pictures from what they recorded:

python DiffBinaural/experiments/make_results.py --only quality parts/EMA

Stopped, the same command goes on.  docs/results.json keeps the figures of every experiment that was finished
on some machine; the page is made from it.
"""

from pathlib import Path

from tqdm import tqdm

from DiffBinaural.experiments.catalogue import chosen
from DiffBinaural.experiments.config import ResultsConfig
from DiffBinaural.experiments.page import draw, page
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.experiments.runner import ROOT, carry_out
from DiffBinaural.experiments.summary import close_calls, collect, updated
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import read_json, write_json, write_text


def main(cfg: ResultsConfig) -> None:
    """Run, repeat close calls with other seeds, collect, write."""
    suffix, docs = ("", "docs") if cfg.scale == "small" else (f"_{cfg.scale}", f"docs/{cfg.scale}")
    root, figures = Path(cfg.output_dir or f"generated/results{suffix}"), ROOT / docs / "results.json"
    wanted = chosen(cfg.only, root, cfg.scale)
    carry_out_all(wanted, root, cfg.scale)
    carry_out_all(close_calls(wanted, root), root, cfg.scale)
    known = updated(read_json(figures) if figures.exists() else {}, collect(wanted, root))
    write_json(figures, known)
    draw(ROOT / docs, known)
    write_text(ROOT / f"RESULTS{suffix}.md", page(known, docs))


def carry_out_all(experiments: list[Experiment], root: Path, scale: str) -> None:
    """One after the other."""
    for experiment in (bar := tqdm(experiments, unit="experiment")):
        bar.set_description(str(experiment.folder(Path())))
        carry_out(experiment, root, scale)


if __name__ == "__main__":
    run(main)
