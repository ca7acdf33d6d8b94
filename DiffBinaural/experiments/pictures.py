"""The pictures of RESULTS.md."""

from pathlib import Path

from DiffBinaural.experiments.cues import cue_lines
from DiffBinaural.experiments.figures import BASELINE_NAMES, BASELINES, COPY, HEADLINE, OURS
from DiffBinaural.experiments.kit import TOLD, VIDEO_ROW
from DiffBinaural.experiments.questions import bench_rows
from DiffBinaural.utils.plots import draw_history, draw_lines, save_figure

# metric -> row -> system -> ratio of its error to another's, with its 95 % interval
Ratios = dict[str, dict[str, dict[str, tuple[float, float, float]]]]
WIDEST = 3  # ratio from which on an axis is logarithmic
TICKS = (0.5, 1, 2, 5, 10)  # of such an axis


def draw_pictures(docs: Path, known: dict[str, dict[str, dict]]) -> None:
    """Draw all pictures whose figures are known.  known: table -> row -> entry of docs/results.json"""
    docs.mkdir(parents=True, exist_ok=True)
    copy = "error, as a fraction of the mono copy's"
    if rows := known.get("quality"):
        names = {OURS["quality"]: "model", **{name: BASELINE_NAMES[name] for name in BASELINES["quality"]}}
        draw_ratios(docs / "baselines.png", system_ratios(rows, names), copy)
        names = {OURS["quality"]: "with detections", "levelled_whole": "without detections"}
        draw_ratios(docs / "scenes.png", system_ratios(rows, names), copy)
    if rows := known.get("parts"):
        draw_ratios(
            docs / "parts.png", part_ratios(rows), "error without the part, as a fraction of that with it"
        )
    if rows := known.get("general"):
        draw_ratios(docs / "conditions.png", system_ratios(rows, {OURS["general"]: "model"}), copy)
    if entry := known.get("steps", {}).get("shipped models"):
        draw_history(docs / "steps.png", entry["rows"], "mel_rmse", "mel_ild_error", "seconds a second")
    if "speed" in known:
        draw_seconds(docs / "speed.png", list(bench_rows(known).values()))
    if entry := known.get("kit", {}).get(VIDEO_ROW):
        draw_lines(docs / "talking.png", cue_lines(entry["cues"], TOLD))


def system_ratios(rows: dict[str, dict], names: dict[str, str]) -> Ratios:
    """Errors as fractions of the mono copy's.  names: systems with their labels"""
    return {
        metric: {
            row: {
                label: tuple(found[metric]["times"])
                for system, label in names.items()
                if "times" in (found := entry["systems"].get(system, {})).get(metric, {})
            }
            for row, entry in rows.items()
            if COPY in entry.get("systems", {})
        }
        for metric in HEADLINE
    }


def part_ratios(rows: dict[str, dict]) -> Ratios:
    """Of every part, the metric that it should improve: the error without it over that with it."""
    parts = {row: entry for row, entry in rows.items() if "part_of" in entry}
    return {
        "the metric that the part should improve": {
            f"{row}: {name}": {"without": tuple(entry["systems"]["without"][name]["times"])}
            for row, entry in parts.items()
            for name in [entry["decided_by"]]
        }
    }


def draw_ratios(path: Path, panels: Ratios, label: str) -> None:
    """Draw ratios with intervals: a panel for each metric, a line for each row, a colour for each system."""
    from matplotlib.figure import Figure

    rows = list(next(iter(panels.values())))
    height = 1.1 + 0.32 * len(rows)
    figure = Figure(figsize=(10, height), layout="constrained")
    columns = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    systems = list(dict.fromkeys(name for panel in panels.values() for row in panel.values() for name in row))
    for axes, (title, panel) in zip(columns, panels.items(), strict=True):
        axes.axvline(1, color="0.4", linewidth=0.8, linestyle="--")
        furthest = max((high for row in panel.values() for _, _, high in row.values()), default=1)
        for k, system in enumerate(systems):
            points = [(y, row[system]) for y, row in enumerate(panel.values()) if system in row]
            if not points:
                continue
            shift = 0.5 * (k / len(systems) - (len(systems) - 1) / (2 * len(systems)))
            y, (middle, low, high) = [p[0] + shift for p in points], zip(*(p[1] for p in points), strict=True)
            beyond = [
                [m - lo for m, lo in zip(middle, low, strict=True)],
                [hi - m for m, hi in zip(middle, high, strict=True)],
            ]
            axes.errorbar(
                middle, y, xerr=beyond, fmt="o", markersize=4, linewidth=1.2, color=f"C{k}", label=system
            )
        if furthest > WIDEST:
            axes.set_xscale("log")
            axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
            axes.minorticks_off()
        else:
            axes.set_xlim(0, max(1.1, 1.05 * furthest))
        axes.set_title(title, fontsize=9)
        axes.grid(axis="x", alpha=0.3)
    columns[0].set_yticks(range(len(rows)), rows, fontsize=8)
    columns[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.supxlabel(label, fontsize=9)
    if len(systems) > 1:
        shown = columns[0].get_legend_handles_labels()
        figure.legend(*shown, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    save_figure(path, figure)


def draw_seconds(path: Path, rows: list[dict]) -> None:
    """Draw the benchmark's seconds as bars, beside those of the plain computation where they were taken."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1 + 0.32 * len(rows)), layout="constrained")
    axes, places = figure.subplots(), range(len(rows))
    plain = [row["plain_s"] or float("nan") for row in rows]
    axes.barh(
        [y + 0.2 for y in places], [row["seconds"] for row in rows], 0.4, color="C0", label="as it runs"
    )
    axes.barh([y - 0.2 for y in places], plain, 0.4, color="0.75", label="plain")
    axes.set_yticks(places, [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8)
    save_figure(path, figure)
