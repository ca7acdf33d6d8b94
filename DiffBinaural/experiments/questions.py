"""The seven questions of RESULTS.md: a table each."""

from DiffBinaural.experiments.figures import BASELINE_NAMES, BASELINES, COPY, FIGURES, HEADLINE, OURS
from DiffBinaural.experiments.tables import (
    NONE,
    cell,
    cells,
    difference_cell,
    head,
    in_digits,
    table,
    value_cell,
)

Rows = dict[str, dict]  # row -> entry of docs/results.json
ALL_SCENES = (*HEADLINE, "iacc_error", "mel_rmse")
KINDS = (
    "1 source, no room",
    "1 source, room",
    "1 source, bystanders, room",
    "2 sources, room",
    "3 sources, no room",
    "3 sources, room",
)
PARTS = (
    "vision",
    "detections",
    "mirror augmentation",
    "phasor",
    "objective pred_residual (pred_x0 in its place)",
    "EMA",
)
CONDITIONS = (
    "as in training",
    "head of 11 cm",
    "camera of 60°",
    "recorded speech",
    "recorded instruments",
    "5 sources",
)
SPEEDS = (
    "stage 1 small, 10 s, 2 steps",
    "stage 1 base, 10 s, 2 steps",
    "vocoder base, 10 s",
    "end to end, 60 s",
    "training step, stage 1",
    "training step, stage 2, with them",
)


def baseline_table(known: dict[str, Rows], names: tuple[str, ...] = ALL_SCENES) -> str:
    """Ours, the mono copy and the baselines over all simulated scenes: a line for each metric."""
    entry = known["all"]["quality"]
    ours = entry["systems"][OURS["quality"]]
    baselines = [name for name in BASELINES["quality"] if name in entry["compared"]]

    def row(title: str, name: str) -> list[str]:
        against = [(COPY, ours.get(name)), *((base, entry["compared"][base].get(name)) for base in baselines)]
        values = [(value_cell(entry["systems"][base].get(name), name), found) for base, found in against]
        return [
            title,
            value_cell(ours.get(name), name),
            *(f"{value} {difference_cell(found, name)}".strip() for value, found in values),
        ]

    columns = ["error", "model", *(BASELINE_NAMES[name] for name in (COPY, *baselines))]
    return table(columns, [row(title, name) for title, name in zip(head(names), names, strict=True)])


def system_table(rows: Rows, system: str, names: tuple[str, ...], first: str) -> str:
    """One system's figures against the mono copy's: a line for each row that is known."""
    lines = [
        [title, *cells(entry["systems"][system], names)]
        for title, entry in rows.items()
        if system in entry.get("systems", {})
    ]
    return table([first, *head(names)], lines)


def kit_table(known: dict[str, Rows]) -> str:
    """The model on real material, nothing told."""
    return system_table(known["kit"], OURS["kit"], FIGURES["kit"], "scenes")


def scene_table(known: dict[str, Rows]) -> str:
    """The model on every kind of simulated scenes."""
    rows = {row: known["quality"][row] for row in KINDS if row in known["quality"]}
    return system_table(rows, OURS["quality"], (*HEADLINE, "iacc_error"), "scenes")


def part_table(known: dict[str, Rows]) -> str:
    """What leaving a part of stage 1 out does to the metric that it should improve."""
    rows = {row: known["parts"][row] for row in PARTS if row in known["parts"]}
    lines = []
    for row, entry in rows.items():
        name, systems = entry["decided_by"], entry["systems"]
        lines.append(
            [
                row,
                *head([name]),
                value_cell(systems["with"].get(name), name),
                cell(systems["without"].get(name), name, gain=-1),
                str(len(entry["seeds"])),
            ]
        )
    return table(["part", "metric", "with it", "without it", "seeds"], lines)


def step_table(known: dict[str, Rows]) -> str:
    """Errors and time with each number of denoising steps; the mono copy last."""
    rows = known["steps"]
    mels, names = rows["shipped models"], FIGURES["steps"]
    sounds, of_sounds = rows.get("rendered", {"systems": {}})["systems"], ("stft", "itd_error")
    lines = [
        [
            str(row["step"]),
            *cells(mels["systems"][f"ddim, {row['step']}"], names),
            *(cells(sounds.get(f"steps_{row['step']}", {}), of_sounds)),
            in_digits(row["ddim/seconds a second"], 2),
        ]
        for row in mels["rows"]
    ]
    copy = [
        "mono copy",
        *cells(mels["systems"]["mono copy"], names),
        *cells(sounds.get(COPY, {}), of_sounds),
        NONE,
    ]
    return table(["steps", *head(names), *head(of_sounds), "seconds for a second of sound"], [*lines, copy])


def bench_rows(known: dict[str, Rows]) -> dict[str, dict]:
    """The benchmark's rows by name; of two with one name, the first."""
    found: dict[str, dict] = {}
    for entry in known["speed"].values():
        for row in entry["bench"]["rows"]:
            found.setdefault(row["name"], row)
    return found


def speed_table(known: dict[str, Rows]) -> str:
    """Seconds, floor, gap, plain seconds and memory of the benchmark's main rows."""
    rows = bench_rows(known)

    def value(row: dict, key: str, unit: str) -> str:
        return NONE if row[key] is None else f"{in_digits(row[key])}{unit}"

    columns = {"seconds": " s", "floor_s": " s", "gap": "", "plain_s": " s", "peak_mb": " MB"}
    return table(
        ["what", "time", "floor", "time / floor", "plain", "memory"],
        [
            [name, *(value(rows[name], key, unit) for key, unit in columns.items())]
            for name in SPEEDS
            if name in rows
        ],
    )


def condition_table(known: dict[str, Rows]) -> str:
    """The model on scenes unlike those of its training."""
    rows = {row: known["general"][row] for row in CONDITIONS if row in known["general"]}
    return system_table(rows, OURS["general"], (*HEADLINE, "iacc_error"), "one source in a room, but")
