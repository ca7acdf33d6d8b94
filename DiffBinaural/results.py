"""RESULTS.md: from what experiments recorded to figures with intervals, tables and pictures."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from DiffBinaural.evaluation import ANCHORS, rows_of, summary
from DiffBinaural.experiments import EXPERIMENTS, ROOT, SEEDS, Experiment, finished, record_of
from DiffBinaural.metrics import METRICS
from DiffBinaural.paired import interval
from DiffBinaural.utils.files import read_json
from DiffBinaural.utils.plots import draw_history

COPY = "mono_copy"
DIGITS = 4                     # of a figure that is kept
NOT_YET = "*Not run yet.*"

HEARD = ("stft", "env", "dphase", "itd_error", "ild_error", "iacc_error", "pesq_wb")
FIGURES = {
    "quality": ("mel_rmse", *HEARD), "general": HEARD, "anchors": tuple(METRICS),
    "parts": ("mel_rmse", "mel_ild_error", "stft", "env", "itd_error", "ild_error", "mrstft", "pesq_wb"),
    "steps": ("mel_rmse", "mel_ild_error")}
KNEE, HEARD_KNEE = "ddim, 2", "steps_2"        # what other numbers of steps are compared with: the default


# --- from records to figures --------------------------------------------------------------------------------

def collect(experiments: Iterable[Experiment], root: Path) -> dict[str, dict]:
    """What docs/results.json keeps of each finished row: title -> how it was made, and its figures."""
    found = {}
    for e in experiments:
        if not finished(e, root):
            continue
        record, read = record_of(e, root), READERS.get(e.table)
        found[f"{e.table}/{e.row}"] = {
            "folder": str(e.folder(root)), "commands": record["commands"], "settings": record["settings"],
            "seeds": [0], "seconds": round(sum(record["seconds"])), "machine": record["machine"],
            **(read(e, root) if read else {})}
    return json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.{DIGITS}g}"))


def updated(known: dict[str, dict], new: dict[str, dict]) -> dict[str, dict]:
    """Both, the new before the known, in the list's order and without rows that it does not have any more."""
    both = known | new
    return {title: both[title] for e in EXPERIMENTS if (title := f"{e.table}/{e.row}") in both}


def repeated(experiment: Experiment) -> list[Experiment]:
    """The same with the other seeds."""
    return [replace(experiment, seed=seed) for seed in SEEDS]


def clips_of(experiment: Experiment, root: Path) -> dict[str, dict[str, dict]]:
    """system -> clip -> its figures."""
    files = [ROOT / experiment.folder(root) / name for name in ("steps.json", "metrics.json")]
    systems: dict[str, dict] = {}
    for row in rows_of(next(file for file in files if file.exists())):
        clip = row["id"].removesuffix("_000000")       # mels of a whole clip say when it starts
        systems.setdefault(row["system"], {})[clip] = row
    return systems


def figure(values: dict[str, dict], name: str, others: dict[str, dict] | None) -> dict | None:
    """One figure of a system: mean, n, and the mean difference from another system with its 95 % interval.

    values, others  clip -> its figures;  None where a figure is known of no clip
    """
    known = {clip: row[name] for clip, row in values.items() if row.get(name) is not None}
    if not known:
        return None
    found = {"mean": fmean(known.values()), "n": len(known)}
    pairs = [value - others[clip][name] for clip, value in known.items()
             if others and others.get(clip, {}).get(name) is not None]
    if len(pairs) > 1:
        found["difference"] = fmean(pairs)
        found["low"], found["high"] = interval(np.array(pairs), seed=0)
    return found


def against(systems: dict[str, dict], names: Iterable[str], base: str) -> dict:
    """Figures of all systems, each beside its difference from one of them."""
    return {"against": base, "systems": {
        system: {name: found for name in names if (found := figure(
            values, name, None if system == base else systems.get(base)))}
        for system, values in systems.items()}}


def seeds_mean(experiments: tuple[Experiment, ...], root: Path, names: Iterable[str]) -> dict[str, dict]:
    """clip -> its figures, each the mean over the seeds that have it."""
    every = [clips_of(each, root)["model"] for each in experiments]
    return {clip: {name: summary([rows[clip].get(name) for rows in every])["mean"] for name in names}
            for clip in every[0]}


def part(experiment: Experiment, root: Path, seeds: tuple[int, ...] = (0, *SEEDS)) -> dict:
    """A part's worth: figures without it, and their difference from those with it; or a row of its own.

    Seeds count that both sides have finished.
    """
    names, base = FIGURES["parts"], experiment.against
    sides = [[replace(experiment, row=row, seed=seed) for row in (experiment.row, base or experiment.row)]
             for seed in seeds]
    without, with_it = zip(*[pair for pair in sides if all(finished(e, root) for e in pair)], strict=True)
    about = {"seeds": [e.seed for e in without],
             "seconds": round(sum(sum(record_of(e, root)["seconds"]) for e in without))}
    systems = {"without" if base else "model": seeds_mean(without, root, names)}
    if not base:
        return about | against(clips_of(experiment, root) | systems, names, COPY)
    systems["with"] = seeds_mean(with_it, root, names)
    return about | {"part_of": base, "judged_by": experiment.judged_by, "decision": experiment.decision,
                    **against(systems, names, "with")}


def heard(experiment: Experiment, root: Path) -> dict:
    """Every system beside the mono copy."""
    return against(clips_of(experiment, root), FIGURES[experiment.table], COPY)


def steps(experiment: Experiment, root: Path) -> dict:
    """Every number of steps beside the default's: sounds, or mels and their time."""
    if experiment.row == "heard":
        return against(clips_of(experiment, root), HEARD, HEARD_KNEE)
    rows = read_json(ROOT / experiment.folder(root) / "steps.json")["rows"]
    return {"rows": rows, **against(clips_of(experiment, root), FIGURES["steps"], KNEE)}


def speed(experiment: Experiment, root: Path) -> dict:
    """The benchmark's own."""
    return {"bench": read_json(ROOT / experiment.folder(root) / "bench.json")}


def placed(experiment: Experiment, root: Path) -> dict:
    """Position by position, what is heard."""
    rows = read_json(ROOT / experiment.folder(root) / "places.json")
    positions = sorted({row["x"] for row in rows})
    return {"places": [_at([row for row in rows if row["x"] == x]) for x in positions]}


def _at(rows: list[dict]) -> dict:
    ends = {name: [min(row[name] for row in rows), max(row[name] for row in rows)]
            for name in ("itd_us", "ild_db", "stoi")}
    return {"x": rows[0]["x"], "azimuth": rows[0]["azimuth"], **ends, "n": len(rows),
            "wrong": sum(row["wrong"] for row in rows)}


READERS: dict[str, Callable[[Experiment, Path], dict]] = {
    "quality": heard, "general": heard, "anchors": heard, "parts": part, "steps": steps, "speed": speed,
    "places": placed}


def unproved(entry: dict) -> bool:
    """Whether leaving a part out does not, for sure, make the figure worse that it is there for."""
    judged = entry["systems"]["without"][entry["judged_by"]]
    return judged["low"] <= 0 if METRICS[entry["judged_by"]].better == "lower" else judged["high"] >= 0


def close_calls(experiments: list[Experiment], root: Path) -> list[Experiment]:
    """Parts that seed 0 does not prove, and what they are compared with, for the other seeds."""
    close = [e for e in experiments if e.against and unproved(part(e, root, seeds=(0,)))]
    rows = dict.fromkeys(row for e in close for row in (e.against, e.row))
    named = {e.row: e for e in experiments if e.table == "parts"}
    return [again for row in rows for again in repeated(named[row])]


# --- from figures to the page -------------------------------------------------------------------------------

def draw(docs: Path, known: dict[str, dict]) -> None:
    """The page's pictures."""
    if entry := known.get("steps/shipped models"):
        draw_history(docs / "steps.png", entry["rows"], *FIGURES["steps"], "seconds a second")


def of_table(known: dict[str, dict], table: str) -> dict[str, dict]:
    """Rows of a table by title."""
    return {title.split("/", 1)[1]: entry for title, entry in known.items() if title.startswith(f"{table}/")}


def page(known: dict[str, dict], docs: str = "docs") -> str:
    """RESULTS.md: the words of results.md, with the tables where it names them; docs: of its pictures."""
    def block(marker: re.Match) -> str:
        section, name = marker.groups()
        rows = of_table(known, section)
        if not rows:
            return NOT_YET
        if name == "made":
            return made_with(of_table(known, "data") | rows if section == "parts" else rows)
        return SECTIONS[section](rows)[name]
    words = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+) (\w+)\}\}", block, words).replace("(docs/", f"({docs}/")


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def head(names: Iterable[str]) -> list[str]:
    """Titles of figures: name, what is better, unit."""
    arrows = {"lower": "↓", "higher": "↑"}
    return [f"`{name}` {arrows[METRICS[name].better]} {METRICS[name].unit}".rstrip() for name in names]


def short(value: float, digits: int, sign: str = "") -> str:
    """A number with so many digits that count.

    >>> short(-287.3, 2, "+")
    '-290'
    """
    return f"{float(f'{value:.{digits}g}'):{sign}g}"


def cell(found: dict | None, scale: float = 1.0, key: str = "mean") -> str:
    """A figure, and in brackets the 95 % interval of its difference; bold where that leaves zero out."""
    if found is None:
        return "–"
    text = short(scale * found[key], 3, "+" if key == "difference" else "")
    if "low" not in found:
        return text
    low, high = (short(scale * found[end], 2, "+") for end in ("low", "high"))
    sure = "**" if found["low"] > 0 or found["high"] < 0 else ""
    return f"{sure}{text}{sure} [{low}, {high}]"


def cells(figures: dict[str, dict], names: Iterable[str], key: str = "mean") -> list[str]:
    """A row's figures in print."""
    return [cell(figures.get(name), METRICS[name].scale, key) for name in names]


def system_table(rows: dict[str, dict], names: tuple[str, ...], first: str) -> str:
    """Every system of every row, the anchors last."""
    lines = []
    for title, entry in rows.items():
        systems = sorted(entry["systems"], key=lambda system: (system in (*ANCHORS, "ceiling")))
        lines += [[title, system, *cells(entry["systems"][system], names)] for system in systems]
    return table([first, "system", *head(names)], lines)


def share_table(rows: dict[str, dict], names: tuple[str, ...], systems: tuple[str, ...]) -> str:
    """Differences from the mono copy in per cent of its own mean, with their intervals."""
    def share(entry: dict, system: str, name: str) -> str:
        found, base = (entry["systems"][each][name] for each in (system, COPY))
        mean, low, high = (f"{100 * found[end] / base['mean']:+.0f}" for end in ("difference", "low", "high"))
        return f"{mean} % [{low}, {high}]"
    return table(["scenes", "system, against the mono copy", *head(names)],
                 [[title, system, *(share(entry, system, name) for name in names)]
                  for title, entry in rows.items() for system in systems])


def quality_section(rows: dict[str, dict]) -> dict[str, str]:
    """Every renderer of the shipped models, on every kind of scenes."""
    return {"shares": share_table(rows, ("mel_rmse", "stft", "env", "itd_error", "ild_error", "iacc_error"),
                                  ("wiener", "wiener_whole")),
            "systems": system_table(rows, FIGURES["quality"], "scenes")}


def parts_section(rows: dict[str, dict]) -> dict[str, str]:
    """What is lost where a part is left out, and what follows where nothing is."""
    names = FIGURES["parts"]
    order = ("model", *ANCHORS)
    whole = [[row, system, *cells(entry["systems"][system], names)] for row, entry in rows.items()
             if "part_of" not in entry for system in order if system in entry["systems"]]
    parts = {row: entry for row, entry in rows.items() if "part_of" in entry}
    left_out = [[row, entry["part_of"], str(len(entry["seeds"])),
                 *cells(entry["systems"]["without"], names, "difference")] for row, entry in parts.items()]
    close = [[row, f"`{name}`", *cells(entry["systems"]["without"], [name], "difference"),
              entry["decision"] or "open"]
             for row, entry in parts.items() if unproved(entry) for name in [entry["judged_by"]]]
    return {"whole": table(["trained small, with every part", "system", *head(names)], whole),
            "left_out": table(["left out", "of", "seeds", *head(names)], left_out),
            "unproved": table(["left out", "judged by", "difference", "what was done"], close)}


def steps_section(rows: dict[str, dict]) -> dict[str, str]:
    """Quality and time against the number of denoising steps."""
    names, found = FIGURES["steps"], {}
    if entry := rows.get("shipped models"):
        seconds = {f"{sampler}, {row['step']}": f"{row[f'{sampler}/seconds a second']:.2g}"
                   for row in entry["rows"] for sampler in ("ddim", "dpm++")}
        found["mels"] = table(["sampler, steps", *head(names), "seconds for a second of sound"],
                              [[system, *cells(figures, names), seconds.get(system, "–")]
                               for system, figures in entry["systems"].items()])
    if entry := rows.get("heard"):
        found["heard"] = table(["system", *head(HEARD)], [[system, *cells(figures, HEARD)]
                                                          for system, figures in entry["systems"].items()])
    return {"mels": NOT_YET, "heard": NOT_YET} | found


def speed_section(rows: dict[str, dict]) -> dict[str, str]:
    """The benchmark's parts as one table."""
    units = {"seconds": " s", "floor_s": " s", "gap": "", "plain_s": " s", "speedup": " x", "peak_mb": " MB"}
    measured = [row for entry in rows.values() for row in entry["bench"]["rows"]]
    lines = [[row["name"], *("–" if row[name] is None else f"{row[name]:.3g}{unit}"
                             for name, unit in units.items()), row["note"]] for row in measured]
    rates = ", ".join(f"{row} {entry['bench']['peak_gflops']:.0f}" for row, entry in rows.items())
    return {"rows": table(["", "seconds", "floor", "gap", "plain", "faster", "memory", ""], lines),
            "rates": f"The best rates that convolutions reached, part by part: {rates} GFLOP/s."}


def places_section(rows: dict[str, dict]) -> dict[str, str]:
    """Where sounds that were placed by hand are heard."""
    (entry,), forms = rows.values(), {"itd_us": "+.0f", "ild_db": "+.1f"}
    lines = [[f"{at['x']:+.2f}", f"{at['azimuth']:+.1f}°",
              *(f"{at[name][0]:{form}} … {at[name][1]:{form}}" for name, form in forms.items()),
              f"{at['stoi'][0]:.3f}", f"{at['wrong']} of {at['n']}"] for at in entry["places"]]
    wrong, n = (sum(at[name] for at in entry["places"]) for name in ("wrong", "n"))
    least = min(at["stoi"][0] for at in entry["places"])
    return {"rows": table(["x", "azimuth", "ITD µs, least … most", "ILD dB, least … most", "STOI, least",
                           "wrong side"], [*lines, ["all", "", "", "", f"{least:.3f}", f"{wrong} of {n}"]])}


def general_section(rows: dict[str, dict]) -> dict[str, str]:
    """One source in a room, one thing other than in training."""
    return {"systems": system_table(rows, FIGURES["general"], "one source in a room, but")}


def anchors_section(rows: dict[str, dict]) -> dict[str, str]:
    """What each figure is for the mono copy and for the oracle."""
    (entry,) = rows.values()
    names = [name for name in METRICS if name in entry["systems"][COPY]]

    def plain(system: str, name: str) -> str:
        found = entry["systems"][system].get(name)
        return f"{short(METRICS[name].scale * found['mean'], 3)}, n={found['n']}" if found else "–"
    return {"rows": table(["figure", *ANCHORS], [[title, *(plain(system, name) for system in ANCHORS)]
                                                 for title, name in zip(head(names), names, strict=True)])}


def made_with(rows: dict[str, dict]) -> str:
    """How the rows were made: seeds, time, machine, commands."""
    machines = sorted({describe(entry["machine"]) for entry in rows.values()})
    total = sum(entry["seconds"] for entry in rows.values())
    lines = ["\n".join([f"# {row}: {entry['seconds']} s, seeds {', '.join(map(str, entry['seeds']))}",
                        *(f"# $D/vocoder.json: {key} {value}" for key, value in entry["settings"].items()),
                        f"D={entry['folder']}",
                        *(command.replace(entry["folder"], "$D") for command in entry["commands"])])
             for row, entry in rows.items()]
    return (f"*{'; '.join(machines)}; {total / 60:.0f} minutes for {len(rows)} rows.*\n\n"
            "<details><summary>Commands</summary>\n\n```\n" + "\n\n".join(lines) + "\n```\n\n</details>")


def describe(machine: dict) -> str:
    """A machine in words."""
    where = machine["gpu"] or f"{machine['cores']} cores, {machine['processor']}"
    return f"{where}, torch {machine['torch']}"


SECTIONS: dict[str, Callable[[dict], dict[str, str]]] = {
    "quality": quality_section, "parts": parts_section, "steps": steps_section, "speed": speed_section,
    "places": places_section, "general": general_section, "anchors": anchors_section}
