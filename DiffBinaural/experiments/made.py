"""What figures were made with: models, settings, machines, commands."""

import re
from pathlib import Path

from DiffBinaural.experiments.catalogue import RETIRED
from DiffBinaural.experiments.mono2binaural.training import STATE
from DiffBinaural.experiments.questions import Rows
from DiffBinaural.experiments.runner import bundled_hash, vocoder_hash
from DiffBinaural.experiments.summary import unproved
from DiffBinaural.experiments.tables import difference_cell, table
from DiffBinaural.utils.files import load_tensors, read_json

PLACES = ("run", "data_root", "device")  # settings of the machine that trained the peer


def settings(rows: Rows) -> str:
    """Models, denoising steps, --symmetric and machines of a table's rows, in a line."""
    entries = list(rows.values())
    return "; ".join([*_models(entries), *_steps(entries), *_machines(entries)])


def models(rows: Rows) -> str:
    """Models and machines of a table's rows, in a line."""
    entries = list(rows.values())
    return "; ".join([*_models(entries), *_machines(entries)])


def _machines(entries: list[dict]) -> list[str]:
    return list(dict.fromkeys(describe(entry["machine"]) for entry in entries))


def _models(entries: list[dict]) -> list[str]:
    now = bundled_hash()
    hashes = dict.fromkeys(entry["bundled"]["unet"] for entry in entries if entry.get("bundled"))
    stage1 = [
        f"the bundled models ({one})" if one == now else f"**earlier models** ({one}; bundled now: {now})"
        for one in hashes
    ]
    others = {_vocoder(entry) for entry in entries} - {None, latest := vocoder_hash()}
    return stage1 + [f"**an earlier vocoder** ({one}; bundled now: {latest})" for one in sorted(others)]


def _vocoder(entry: dict) -> str | None:
    """The hash of the bundled vocoder that an entry was made with; None where its commands name none."""
    named = any("weights/vocoder/g_best.pth" in command for command in entry["commands"])
    return entry.get("vocoder", "of version 0.2.0") if named else None  # which was before it was recorded


def _steps(entries: list[dict]) -> list[str]:
    """Steps and --symmetric, of those entries that use the bundled models."""
    found = set()
    for entry in entries:
        if entry.get("bundled"):
            given = re.findall(r"--sampling_timesteps (\d+)", " ".join(entry["commands"]))
            found |= set(map(int, given)) or {entry["bundled"]["steps"]}
    if not found:
        return []
    symmetric = any("--symmetric" in command for entry in entries for command in entry["commands"])
    count = ", ".join(map(str, sorted(found)))
    steps = f"{count} denoising step{'' if found == {1} else 's'}"
    return [steps, "`--symmetric`" if symmetric else "without `--symmetric`"]


def describe(machine: dict) -> str:
    """One line on a machine."""
    where = machine["gpu"] or f"{machine['cores']} cores, {machine['processor']}"
    return f"{where}, torch {machine['torch']}"


def commands(rows: Rows) -> str:
    """Time, settings and commands of a table's rows."""
    total = sum(entry["seconds"] for entry in rows.values())
    table_name = next(iter(rows.values()))["folder"].split("/")[-2]
    lines = [
        "\n".join(
            [
                f"# {row}: {entry['seconds']} s, seeds {', '.join(map(str, entry['seeds']))}"
                + (", with an earlier version" if f"{table_name}/{row}" in RETIRED else ""),
                *(f"# $D/vocoder.json: {key} {value}" for key, value in entry["settings"].items()),
                f"D={entry['folder']}",
                *(command.replace(entry["folder"], "$D") for command in entry["commands"]),
            ]
        )
        for row, entry in rows.items()
    ]
    return (
        f"*{settings(rows)}; {total / 60:.0f} minutes for {len(rows)} rows.*\n\n"
        "<details><summary>Commands</summary>\n\n```\n" + "\n\n".join(lines) + "\n```\n\n</details>"
    )


def unproved_parts(rows: Rows) -> str:
    """Parts that are not proved, with the decision for each."""
    return table(
        ["part", "metric", "without it − with it", "decision"],
        [
            [
                row,
                f"`{name}`",
                difference_cell(entry["systems"]["without"][name], name, -1),
                entry["decision"] or "open",
            ]
            for row, entry in rows.items()
            if "part_of" in entry and unproved(entry)
            for name in [entry["decided_by"]]
        ],
    )


def training_of_peer(run: Path) -> dict:
    """How Mono2Binaural was trained: settings of its run, for how long, its best validation and its last."""
    given, history = (read_json(run / name) for name in ("config.json", "training_history.json"))
    return {
        "config": {name: value for name, value in given.items() if name not in PLACES},
        "seconds": round(load_tensors(run / STATE)["progress"]["seconds"]),
        "best": min(history, key=lambda row: row["val/difference_mse"]),
        "last": history[-1],
    }
