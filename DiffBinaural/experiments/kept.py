"""Figures of Mono2Binaural where its run is not here: the known ones, beside new ones of ours."""

from dataclasses import replace
from pathlib import Path

from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.experiments.figures import BASELINES, COPY, OURS, PEER
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.utils.files import read_json

SAME_SCENES = 2e-3  # relative difference of the mono copy's means on other machines, at most


def without_peer(experiment: Experiment) -> Experiment:
    """An experiment without the system that needs the peer's run."""
    system = f" {PEER}={{here}}/{PEER}"
    kept = [words for words in experiment.commands if f"render_{PEER}.py" not in words]
    return replace(experiment, commands=tuple(words.replace(system, "") for words in kept))


def beside(before: dict[str, dict], note: Path) -> dict:
    """The note on the peer's training, with the hash of the models that its figures were measured beside."""
    known = read_json(note) if note.exists() else {}
    rows = [entry for entry in before.values() if PEER in entry.get("systems", {}) and entry.get("bundled")]
    return {"measured_beside": rows[0]["bundled"]["unet"], **known} if rows else known


def with_known_peer(now: dict[str, dict], before: dict[str, dict]) -> dict[str, dict]:
    """Entries of docs/results.json, those without the peer with its figures of the entries before."""
    return {title: with_peer(entry, before.get(title, {}), title) for title, entry in now.items()}


def with_peer(now: dict, before: dict, title: str) -> dict:
    """An entry with the peer's figures of the same scenes before, where it has none.

    What ours differs from the peer follows from what both differ from the mono copy: the mean exactly, and an
    interval that is at most as wide as theirs together, since the standard error of a sum is at most the sum
    of the standard errors.
    """
    table = title.split("/")[title.startswith("all/")]
    systems, known = now.get("systems", {}), before.get("systems", {})
    if PEER in systems or PEER not in known or PEER not in BASELINES.get(table, ()):
        return now
    if not all(same(systems[COPY], known[COPY], name) for name in systems[COPY]):
        return now
    ours, peer = systems[OURS[table]], known[PEER]
    figures = {name: against_peer(found, peer.get(name, {}), name) for name, found in ours.items()}
    made = {name: before[name] for name in ("commands",) if name in before}  # all of its figures
    return {
        **now,
        **made,
        "systems": {**systems, PEER: peer},
        "compared": {**now["compared"], PEER: figures},
    }


def same(copy: dict, before: dict, name: str) -> bool:
    """Whether the mono copy has the same figure, so that the scenes are the same."""
    mean = copy[name]["mean"]
    return name in before and abs(mean - before[name]["mean"]) <= SAME_SCENES * abs(mean)


def against_peer(ours: dict, peer: dict, name: str) -> dict:
    """A figure of ours with its difference from the peer's, by both differences from the mono copy."""
    found = {"mean": ours["mean"], "n": ours["n"]}
    if not {"difference", "low", "high"} <= ours.keys() & peer.keys():
        return found
    difference = ours["difference"] - peer["difference"]
    low, high = ours["low"] - peer["high"], ours["high"] - peer["low"]
    found |= {"difference": difference, "low": low, "high": high}
    if METRICS[name].better == "lower" and peer["mean"] > 0:
        found["times"] = [1 + each / peer["mean"] for each in (difference, low, high)]
    return found
