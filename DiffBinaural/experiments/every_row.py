"""Every row of the tables behind RESULTS.md, for CSV files."""

from collections.abc import Iterator

from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.experiments.kit import VIDEO_ROW
from DiffBinaural.experiments.questions import Rows

FIGURE_COLUMNS = (
    "row",
    "system",
    "metric",
    "unit",
    "mean",
    "n",
    "compared_with",
    "difference",
    "low",
    "high",
    "ratio",
    "ratio_low",
    "ratio_high",
)
BENCH = ("name", "seconds", "floor_s", "gap", "plain_s", "speedup", "peak_mb", "note")
CSV_COLUMNS = {
    **dict.fromkeys(("quality", "kit", "all", "general", "anchors", "steps", "parts"), FIGURE_COLUMNS),
    "steps_seconds": ("steps", "sampler", "seconds_a_second"),
    "speed": BENCH,
    "positions": (
        "x",
        "azimuth",
        "itd_us_least",
        "itd_us_most",
        "ild_db_least",
        "ild_db_most",
        "stoi_least",
        "stoi_most",
        "wrong_side",
        "n",
    ),
    "talking_video": ("sound", "cue", "second", "value"),
}


def csv_rows(known: dict[str, Rows]) -> dict[str, list[list]]:
    """Names of CSV files with their rows below CSV_COLUMNS.

    known  table -> row -> entry of docs/results.json
    """
    found = {
        table: [line for row, entry in rows.items() for line in figure_rows(row, entry)]
        for table, rows in known.items()
        if CSV_COLUMNS.get(table) == FIGURE_COLUMNS
    }
    if entry := known.get("steps", {}).get("shipped models"):
        found["steps_seconds"] = [
            [row["step"], sampler, row[f"{sampler}/seconds a second"]]
            for row in entry["rows"]
            for sampler in ("ddim", "dpm++")
        ]
    if rows := known.get("speed"):
        found["speed"] = [
            [row[name] for name in BENCH] for entry in rows.values() for row in entry["bench"]["rows"]
        ]
    if rows := known.get("positions"):
        found["positions"] = [
            [at["x"], at["azimuth"], *at["itd_us"], *at["ild_db"], *at["stoi"], at["wrong"], at["n"]]
            for entry in rows.values()
            for at in entry["positions"]
        ]
    if entry := known.get("kit", {}).get(VIDEO_ROW):
        found["talking_video"] = [
            [sound, cue, second, value]
            for sound, cues in entry["cues"].items()
            for cue, values in cues.items()
            for second, value in enumerate(values)
        ]
    return found


def figure_rows(row: str, entry: dict) -> Iterator[list]:
    """Lines of FIGURE_COLUMNS for every system of a row; then those of ours against each baseline."""
    for system, figures in entry.get("systems", {}).items():
        yield from _lines(row, system, figures, entry["against"])
    for baseline, figures in entry.get("compared", {}).items():
        yield from _lines(row, "ours", figures, baseline)


def _lines(row: str, system: str, figures: dict[str, dict], other: str) -> Iterator[list]:
    for name, found in figures.items():
        scale = METRICS[name].scale
        between = [scale * found[key] if key in found else "" for key in ("difference", "low", "high")]
        ratio = found.get("times", ["", "", ""])
        compared_with = other if "low" in found else ""
        mean = scale * found["mean"]
        yield [row, system, name, METRICS[name].unit, mean, found["n"], compared_with, *between, *ratio]
