"""RESULTS.md: the text of page.md with tables of figures."""

import re
from collections.abc import Callable
from pathlib import Path

from DiffBinaural.evaluation.aggregation import short
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import ANCHORS
from DiffBinaural.experiments.catalogue import RETIRED
from DiffBinaural.experiments.cues import cue_lines
from DiffBinaural.experiments.kit import SYSTEMS, TOLD, VIDEO_ROW
from DiffBinaural.experiments.summary import COPY, FIGURES, SOUND_METRICS, unproved
from DiffBinaural.experiments.tables import (
    bench_table,
    cells,
    cue_table,
    head,
    percent_table,
    position_table,
    system_table,
    table,
)
from DiffBinaural.utils.plots import draw_history, draw_lines

NOT_YET = "*Not run yet.*"


def draw_pictures(docs: Path, known: dict[str, dict]) -> None:
    """Draw the page's pictures."""
    if entry := known.get("steps/shipped models"):
        draw_history(docs / "steps.png", entry["rows"], *FIGURES["steps"], "seconds a second")
    if entry := known.get(f"kit/{VIDEO_ROW}"):
        draw_lines(docs / "talking.png", cue_lines(entry["cues"], TOLD))


def of_table(known: dict[str, dict], table: str) -> dict[str, dict]:
    """Entries of a table: row -> entry."""
    return {title.split("/", 1)[1]: entry for title, entry in known.items() if title.startswith(f"{table}/")}


def page(known: dict[str, dict], docs: str = "docs") -> str:
    """RESULTS.md: the text of page.md with its markers replaced by tables.  docs: folder of its pictures"""

    def block(marker: re.Match) -> str:
        section, name = marker.groups()
        rows = of_table(known, section)
        if not rows:
            return NOT_YET
        if name == "made":
            return made_with(section, of_table(known, "data") | rows if section == "parts" else rows)
        return SECTIONS[section](rows)[name]

    text = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+) (\w+)\}\}", block, text).replace("(docs/", f"({docs}/")


def quality_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table a: renderers of the shipped models on every kind of scenes."""
    return {
        "percent": percent_table(
            rows,
            ("mel_rmse", "stft", "env", "itd_error", "ild_error", "iacc_error"),
            ("levelled", "levelled_whole", "geometry"),
        ),
        "systems": system_table(rows, FIGURES["quality"], "scenes"),
    }


def parts_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table b: the worth of each part, with the decision where it is unproved."""
    names = FIGURES["parts"]
    order = ("model", *ANCHORS)
    whole = [
        [row, system, *cells(entry["systems"][system], names)]
        for row, entry in rows.items()
        if "part_of" not in entry
        for system in order
        if system in entry["systems"]
    ]
    parts = {row: entry for row, entry in rows.items() if "part_of" in entry}
    left_out = [
        [
            row,
            entry["part_of"],
            str(len(entry["seeds"])),
            *cells(entry["systems"]["without"], names, "difference"),
        ]
        for row, entry in parts.items()
    ]
    close = [
        [
            row,
            f"`{name}`",
            *cells(entry["systems"]["without"], [name], "difference"),
            entry["decision"] or "open",
        ]
        for row, entry in parts.items()
        if unproved(entry)
        for name in [entry["decided_by"]]
    ]
    return {
        "whole": table(["trained small, with every part", "system", *head(names)], whole),
        "left_out": table(["left out", "of", "seeds", *head(names)], left_out),
        "unproved": table(["left out", "metric", "difference", "decision"], close),
    }


def steps_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table c: quality and time against the number of denoising steps."""
    names, found = FIGURES["steps"], {}
    if entry := rows.get("shipped models"):
        seconds = {
            f"{sampler}, {row['step']}": f"{row[f'{sampler}/seconds a second']:.2g}"
            for row in entry["rows"]
            for sampler in ("ddim", "dpm++")
        }
        picture = "![quality and time against the number of denoising steps](docs/steps.png)\n\n"
        found["mels"] = picture + table(
            ["sampler, steps", *head(names), "seconds for a second of sound"],
            [
                [system, *cells(figures, names), seconds.get(system, "–")]
                for system, figures in entry["systems"].items()
            ],
        )
    if entry := rows.get("rendered"):
        found["rendered"] = table(
            ["system", *head(SOUND_METRICS)],
            [[system, *cells(figures, SOUND_METRICS)] for system, figures in entry["systems"].items()],
        )
    return {"mels": NOT_YET, "rendered": NOT_YET} | found


def speed_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table d: speed and memory of the benchmark's parts."""
    rates = ", ".join(f"{row} {entry['bench']['peak_gflops']:.0f}" for row, entry in rows.items())
    return {
        "rows": bench_table([row for entry in rows.values() for row in entry["bench"]["rows"]]),
        "rates": f"The best rates that convolutions reached, part by part: {rates} GFLOP/s.",
    }


def positions_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table e: direction and intelligibility of speech at given positions."""
    (entry,) = rows.values()
    return {"rows": position_table(entry["positions"])}


def general_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table f: the shipped models under conditions other than the training's."""
    return {"systems": system_table(rows, FIGURES["general"], "one source in a room, but")}


def anchors_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table g: all metrics of the anchors."""
    (entry,) = rows.values()
    names = [name for name in METRICS if name in entry["systems"][COPY]]
    anchors = [system for system in ANCHORS if system in entry["systems"]]

    def plain(system: str, name: str) -> str:
        found = entry["systems"][system].get(name)
        return f"{short(METRICS[name].scale * found['mean'], 3)}, n={found['n']}" if found else "–"

    return {
        "rows": table(
            ["figure", *anchors],
            [
                [title, *(plain(system, name) for system in anchors)]
                for title, name in zip(head(names), names, strict=True)
            ],
        )
    }


def kit_section(rows: dict[str, dict]) -> dict[str, str]:
    """Table h: scenes of real material, the cues of the talking video."""
    scenes = {row: entry for row, entry in rows.items() if "systems" in entry}
    found = {"percent": NOT_YET, "systems": NOT_YET, "video": NOT_YET}
    if scenes:
        names = FIGURES["kit"]
        found["percent"] = percent_table(scenes, names, tuple(SYSTEMS))
        found["systems"] = system_table(scenes, names, "scenes")
    if entry := rows.get(VIDEO_ROW):
        picture = "![time and level differences between the ears over time](docs/talking.png)\n\n"
        found["video"] = picture + cue_table(entry["cues"])
    return found


def made_with(section: str, rows: dict[str, dict]) -> str:
    """Seeds, time, machine and commands of the rows."""
    machines = sorted({describe(entry["machine"]) for entry in rows.values()})
    total = sum(entry["seconds"] for entry in rows.values())
    lines = [
        "\n".join(
            [
                f"# {row}: {entry['seconds']} s, seeds {', '.join(map(str, entry['seeds']))}"
                + (", with an earlier version" if f"{section}/{row}" in RETIRED else ""),
                *(f"# $D/vocoder.json: {key} {value}" for key, value in entry["settings"].items()),
                f"D={entry['folder']}",
                *(command.replace(entry["folder"], "$D") for command in entry["commands"]),
            ]
        )
        for row, entry in rows.items()
    ]
    return (
        f"*{'; '.join(machines)}; {total / 60:.0f} minutes for {len(rows)} rows.*\n\n"
        "<details><summary>Commands</summary>\n\n```\n" + "\n\n".join(lines) + "\n```\n\n</details>"
    )


def describe(machine: dict) -> str:
    """One line on a machine."""
    where = machine["gpu"] or f"{machine['cores']} cores, {machine['processor']}"
    return f"{where}, torch {machine['torch']}"


SECTIONS: dict[str, Callable[[dict], dict[str, str]]] = {
    "quality": quality_section,
    "parts": parts_section,
    "steps": steps_section,
    "speed": speed_section,
    "positions": positions_section,
    "general": general_section,
    "anchors": anchors_section,
    "kit": kit_section,
}
