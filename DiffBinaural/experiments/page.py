"""RESULTS.md, docs/reproduce.md: their templates with tables of figures."""

import re
from collections.abc import Callable
from pathlib import Path

from DiffBinaural.experiments import questions, verdicts
from DiffBinaural.experiments.every_row import CSV_COLUMNS, csv_rows
from DiffBinaural.experiments.figures import COPY, HEADLINE, OURS
from DiffBinaural.experiments.made import commands, models, settings, unproved_parts
from DiffBinaural.experiments.pictures import draw_pictures
from DiffBinaural.experiments.questions import Rows
from DiffBinaural.utils.files import read_json, write_rows, write_text

README_BLOCK = ("<!-- results: written by make results -->", "<!-- end of results -->")
NOT_YET = "*Not run yet.*"
DOCS = Path(__file__).parents[2] / "docs"
# what is said of one run elsewhere: answers of tests/gpu_checks.py on a card, the training of the peer
RUNS = {"card": verdicts.card_verdict, "peer": verdicts.peer_verdict}
INLINE = ("settings", "models")  # kinds of markers inside a sentence
RESULTS, REPRODUCE = (Path(__file__).with_name(name) for name in ("page.md", "reproduce.md"))
# question -> what it needs of docs/results.json, its table, its sentences
QUESTIONS: dict[str, tuple[tuple[str, ...], Callable, Callable]] = {
    "baselines": (("quality", "all/quality"), questions.baseline_table, verdicts.baseline_verdict),
    "real": (("kit", "all/kit"), questions.kit_table, verdicts.kit_verdict),
    "scenes": (("quality",), questions.scene_table, verdicts.scene_verdict),
    "worth": (("parts",), questions.part_table, verdicts.part_verdict),
    "steps": (("steps/shipped models",), questions.step_table, verdicts.step_verdict),
    "speed": (("speed",), questions.speed_table, verdicts.speed_verdict),
    "conditions": (("general", "positions"), questions.condition_table, verdicts.condition_verdict),
}


def by_table(known: dict[str, dict]) -> dict[str, Rows]:
    """Entries of docs/results.json: table -> row -> entry."""
    found: dict[str, Rows] = {}
    for title, entry in known.items():
        table, _, row = title.partition("/")
        found.setdefault(table, {})[row] = entry
    return found


def page(known: dict[str, dict], template: Path = RESULTS, docs: str = "docs") -> str:
    """A template's text with its markers replaced.

    known  docs/results.json: "<table>/<row>" -> entry
    docs   folder of the pictures, in links
    """
    tables = by_table(known)
    makers = {"settings": settings, "models": models, "commands": commands, "unproved": unproved_parts}

    def block(marker: re.Match) -> str:
        name, kind = marker.groups()
        if name in RUNS:
            return RUNS[name](read_json(DOCS / f"{name}.json"))
        if name in QUESTIONS and kind in ("table", "verdict"):
            wanted, *make = QUESTIONS[name]
            there = all(need in known or need in tables for need in wanted)
            return make[kind == "verdict"](tables) if there else NOT_YET
        if name not in tables:
            return NOT_YET.strip("*.") if kind in INLINE else NOT_YET
        return makers[kind](tables[name])

    text = re.sub(r"\{\{(\w+) (\w+)\}\}", block, template.read_text(encoding="utf-8"))
    return text.replace("(docs/", f"({docs}/")


def readme(known: dict[str, dict], text: str) -> str:
    """README.md with its table of results made anew, between two comments."""
    tables = by_table(known)
    if "all/quality" not in known:
        return text
    ours, count = OURS["quality"], tables["all"]["quality"]["systems"][COPY]["stft"]["n"]
    block = (
        f"{questions.baseline_table(tables, HEADLINE)}\n\n*{count} new simulated scenes of one to three "
        f"sources with their detections, renderer `{ours}`; {settings(tables['quality'])}.*"
    )
    begin, end = README_BLOCK
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n{block}\n{end}{after}"


def write_pages(known: dict[str, dict], root: Path, suffix: str = "", docs: str = "docs") -> None:
    """Write RESULTS.md, docs/reproduce.md, the CSV files of all rows, the pictures, the table of README.md.

    root    the project's folder
    suffix  of RESULTS.md's name, for another scale, of which README.md says nothing
    docs    folder of everything else
    """
    if not suffix:
        write_text(root / "README.md", readme(known, (root / "README.md").read_text(encoding="utf-8")))
    write_text(root / f"RESULTS{suffix}.md", page(known, RESULTS, docs))
    write_text(root / docs / "reproduce.md", page(known, REPRODUCE, docs))
    for name, rows in csv_rows(by_table(known)).items():
        write_rows(root / docs / "results" / f"{name}.csv", ",".join(CSV_COLUMNS[name]), rows)
    draw_pictures(root / docs, by_table(known))
