"""Run the experiments that are not finished yet, then write RESULTS.md from all records:

python DiffBinaural/experiments/make_results.py --only quality parts/EMA

When stopped, the same command continues.  docs/results.json holds the figures of all finished experiments,
from any machine; RESULTS.md, docs/reproduce.md, CSV files and pictures are made from it.
"""

import sys
from pathlib import Path

from DiffBinaural.experiments.catalogue import chosen
from DiffBinaural.experiments.config import ResultsConfig
from DiffBinaural.experiments.kept import beside, with_known_peer, without_peer
from DiffBinaural.experiments.made import training_of_peer
from DiffBinaural.experiments.page import write_pages
from DiffBinaural.experiments.recipes import PEER_RUN
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.experiments.runner import ROOT, carry_out, lacking
from DiffBinaural.experiments.summary import collect, rounded, undecided, updated
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import read_json, write_json
from DiffBinaural.utils.progress import Progress

PEER_NOTE = ROOT / "docs/peer.json"
NO_PEER = f"{PEER_RUN} is missing: Mono2Binaural keeps its known figures; make mono2binaural trains it"


def main(cfg: ResultsConfig) -> None:
    """Run the experiments, repeat undecided ones with other seeds, collect the figures, write the pages."""
    suffix, docs = ("", "docs") if cfg.scale == "small" else (f"_{cfg.scale}", f"docs/{cfg.scale}")
    root, figures = Path(cfg.output_dir or f"generated/results{suffix}"), ROOT / docs / "results.json"
    known = read_json(figures) if figures.exists() else {}
    if cfg.run:
        wanted, peer = chosen(cfg.only, root, cfg.scale), (ROOT / PEER_RUN).exists()
        if not peer:
            wanted = [without_peer(experiment) for experiment in wanted]
            print(NO_PEER, file=sys.stderr)
        carry_out_all(wanted, root, cfg.scale)
        carry_out_all(undecided(wanted, root), root, cfg.scale)
        before, known = known, updated(known, collect(wanted, root), root)
        known = known if peer else rounded(with_known_peer(known, before))
        write_json(figures, known)
        write_json(PEER_NOTE, training_of_peer(ROOT / PEER_RUN) if peer else beside(before, PEER_NOTE))
    write_pages(known, ROOT, suffix, docs)


def carry_out_all(experiments: list[Experiment], root: Path, scale: str) -> None:
    """Run experiments one after the other; a line for each that is left out."""
    for experiment in (bar := Progress(experiments, unit="experiment")):
        bar.set_description(str(experiment.folder(Path())))
        if line := lacking(experiment, root):
            bar.write(line, file=sys.stderr)
        else:
            carry_out(experiment, root, scale)


if __name__ == "__main__":
    run(main)
