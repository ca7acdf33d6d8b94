"""Run the small experiments that are not done yet; write RESULTS.md and its pictures from what they recorded:

python DiffBinaural/make_results.py --only quality parts/EMA

Stopped, the same command goes on.  docs/results.json keeps the figures of every experiment that was finished
on some machine; the page is made from it.
"""

from pathlib import Path

from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import ResultsConfig
from DiffBinaural.experiments import ROOT, Experiment, carry_out, chosen
from DiffBinaural.results import close_calls, collect, draw, page, updated
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import read_json, replacing, write_json


def main(cfg: ResultsConfig) -> None:
    """Run, repeat close calls with other seeds, collect, write."""
    root, figures = Path(cfg.output_dir), ROOT / cfg.docs / "results.json"
    wanted = chosen(cfg.only, root, cfg.scale)
    carry_out_all(wanted, root, cfg.scale)
    carry_out_all(close_calls(wanted, root), root, cfg.scale)
    known = updated(read_json(figures) if figures.exists() else {}, collect(wanted, root))
    write_json(figures, known)
    draw(ROOT / cfg.docs, known)
    with replacing(ROOT / cfg.page) as partial:
        Path(partial).write_text(page(known), encoding="utf-8")


def carry_out_all(experiments: list[Experiment], root: Path, scale: str) -> None:
    """One after the other."""
    for experiment in (bar := tqdm(experiments, unit="experiment")):
        bar.set_description(str(experiment.folder(Path())))
        carry_out(experiment, root, scale)


if __name__ == "__main__":
    run(main)
