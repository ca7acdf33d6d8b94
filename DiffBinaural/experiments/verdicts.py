"""The sentences of RESULTS.md, made from the figures."""

from collections.abc import Iterable

from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.experiments.figures import BASELINE_NAMES, BASELINES, COPY, HEADLINE, OURS
from DiffBinaural.experiments.questions import Rows, bench_rows
from DiffBinaural.experiments.tables import in_digits, proven

A_FIFTH = 0.8  # the ratio of an error that is 20 % smaller
GONE = (
    "; its weights are gone: its figures were measured on the same scenes beside the models {}, and the "
    "interval of a difference from it is the widest that both intervals against the mono copy allow"
)


def listed(words: Iterable[str]) -> str:
    """Words in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = list(words) or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


METRICS_COUNTED = listed(f"`{name}`" for name in HEADLINE)


def figures_against(entry: dict, table: str, baseline: str) -> dict[str, dict]:
    """HEADLINE figures of ours with their differences from a baseline; {} where it is not there."""
    found = (
        entry["systems"].get(OURS[table], {})
        if baseline == COPY
        else entry.get("compared", {}).get(baseline, {})
    )
    return {name: found[name] for name in HEADLINE if "low" in found.get(name, {})}


def tally(rows: Rows, table: str, baseline: str) -> tuple[list[dict], dict[str, list[str]]]:
    """All HEADLINE figures against a baseline; of each row, the metrics in which the baseline is better."""
    every, lost = [], {}
    for row, entry in rows.items():
        for name, found in figures_against(entry, table, baseline).items():
            every.append({**found, "proven": proven(found, name)})
            if every[-1]["proven"] < 0:
                lost.setdefault(row, []).append(f"`{name}`")
    return every, lost


def gains(rows: Rows, table: str) -> tuple[str, dict[str, dict[str, list[str]]]]:
    """In how many figures ours is better than each baseline, and where each baseline is better."""
    parts, losses = [], {}
    for baseline in (COPY, *BASELINES[table]):
        every, lost = tally(rows, table, baseline)
        if every:
            better, fifth = (sum(test(one) for one in every) for test in (_gained, _by_a_fifth))
            worse = sum(one["proven"] < 0 for one in every)
            label = BASELINE_NAMES[baseline]
            parts.append(
                f"better than {label} in {better} of {len(every)} (by 20 % or more in {fifth}) "
                f"and worse in {worse}"
            )
            losses[label] = lost
    return "; ".join(parts), losses


def _gained(one: dict) -> bool:
    return one["proven"] > 0


def _by_a_fifth(one: dict) -> bool:
    return _gained(one) and one["times"][0] <= A_FIFTH


def where_lost(losses: dict[str, dict[str, list[str]]]) -> str:
    """Where each baseline is better."""
    found = [
        f"{label} is better in {'; '.join(f'*{row}* ({listed(names)})' for row, names in lost.items())}"
        for label, lost in losses.items()
        if lost
    ]
    text = ". ".join(found) or "no baseline is better in any of these figures"
    return f"{text[0].upper()}{text[1:]}."


def baseline_verdict(known: dict[str, Rows]) -> str:
    """Is it better than nothing, than geometry, than the peers?"""
    counts, losses = gains(known["quality"], "quality")
    return f"Kind by kind, in {METRICS_COUNTED}, the model is proved {counts}. {where_lost(losses)}"


def kit_verdict(known: dict[str, Rows]) -> str:
    """On real pictures and ears?"""
    rows = {row: entry for row, entry in known["kit"].items() if "compared" in entry}
    counts, _ = gains(rows, "kit")
    systems = known["all"]["kit"]["systems"]

    def errors(system: str) -> str:
        return listed(
            f"{in_digits(METRICS[name].scale * systems[system][name]['mean'], 2)} {METRICS[name].unit}"
            for name in ("itd_error", "ild_error")
        )

    return (
        f"Row by row, in {METRICS_COUNTED}, the model is proved {counts}. Over all rows, `itd_error` and "
        f"`ild_error` are {errors('model_auto')}; told where the source is, {errors('model_true')} "
        f"(geometry, told as well: {errors('geometry_true')}); without detections, {errors('model_none')}; "
        f"of the mono copy, {errors(COPY)}."
    )


def percent(found: dict) -> str:
    """How much smaller or larger an error is than the one that it is compared with."""
    if (times := found["times"][0]) >= 2:
        return f"{in_digits(times, 2)} times as large"
    change = round(100 * (times - 1))
    return f"{abs(change)} % {'larger' if change > 0 else 'smaller'}"


def scene_verdict(known: dict[str, Rows]) -> str:
    """With 1, 2, 3 sources, rooms, bystanders?"""
    rows, spans = known["quality"], []
    for name in HEADLINE:
        found = {row: entry["systems"][OURS["quality"]][name] for row, entry in rows.items()}
        best, worst = (choose(found, key=lambda row: found[row]["times"][0]) for choose in (min, max))
        spans.append(f"`{name}` {percent(found[best])} in *{best}*, {percent(found[worst])} in *{worst}*")
    whole = [entry["systems"]["levelled_whole"] for entry in rows.values()]
    better = [f"{sum(proven(figures[name], name) > 0 for figures in whole)} in `{name}`" for name in HEADLINE]
    return (
        f"Best and worst, against the mono copy: {'; '.join(spans)}. Without detections (whole frames), of "
        f"{len(rows)} kinds of scenes it is proved better than the mono copy for {listed(better)}."
    )


def part_verdict(known: dict[str, Rows]) -> str:
    """What is each part worth?"""
    parts = {row: entry for row, entry in known["parts"].items() if "part_of" in entry}
    found = {row: entry["systems"]["without"][entry["decided_by"]] for row, entry in parts.items()}
    sure = [row for row in parts if proven(found[row], parts[row]["decided_by"]) < 0]
    first = max(sure or parts, key=lambda row: found[row]["times"][0])
    open_ones = [f"*{row}*" for row in parts if row not in sure]
    return (
        f"{len(sure)} of {len(parts)} parts, those of the vocoder included, are proved by the metric that "
        f"they should improve, *{first}* the most ({percent(found[first])} without it). "
        f"Not proved: {listed(open_ones)}."
    )


def step_verdict(known: dict[str, Rows]) -> str:
    """How many steps?"""
    rows = known["steps"]
    mels = rows["shipped models"]
    counts = {f"ddim, {row['step']}": row for row in mels["rows"]}
    best = [
        f"{min(counts, key=lambda system: mels['systems'][system][name]['mean']).split()[-1]} for `{name}`"
        for name in ("mel_rmse", "mel_ild_error")
    ]
    sounds = {
        k: v for k, v in rows.get("rendered", {"systems": {}})["systems"].items() if k.startswith("steps_")
    }
    best += [
        f"{min(sounds, key=lambda system: sounds[system][name]['mean']).split('_')[-1]} for `{name}`"
        for name in HEADLINE
        if sounds
    ]
    apart = max(
        abs(found["mean"] / mels["systems"][system.replace("ddim", "dpm++")][name]["mean"] - 1)
        for system in counts
        for name, found in mels["systems"][system].items()
    )
    last = mels["rows"][-1]
    times = last["ddim/seconds a second"] / mels["rows"][0]["ddim/seconds a second"]
    return (
        f"The least error has, in steps: {listed(best)}. The sampler `dpm++` differs from `ddim` by at most "
        f"{in_digits(100 * apart, 2)} %, and {last['step']} steps take {in_digits(times, 2)} times as long "
        f"as {mels['rows'][0]['step']}."
    )


def speed_verdict(known: dict[str, Rows]) -> str:
    """How fast, on what?"""
    rows = bench_rows(known)
    whole = [row for name, row in rows.items() if name.startswith("end to end")]
    faster = [row["speedup"] for row in rows.values() if row["speedup"]]
    notes = listed(f"{row['note']} ({row['name']}, {in_digits(row['peak_mb'])} MB)" for row in whole)
    least, most = (in_digits(end(faster), 2) for end in (min, max))
    return (
        f"Both stages with the base networks take {notes}. The fast forms of convolutions, norms and "
        f"activations are {least} to {most} times as fast as torch's own order of the same computation."
    )


def card_verdict(answers: dict) -> str:
    """How fast on a card?  answers: of tests/gpu_checks.py"""

    def each(check: str, unit: str) -> str:
        return listed(f"{in_digits(value)}{unit} ({name})" for name, value in answers[check].items())

    where, conditions = answers["machine"], f"; {answers['note']}" if answers["note"] else ""
    return (
        f"On one card ({where['card']}, torch {where['torch']}{conditions}), the vocoder makes "
        f"two-eared sound at {each('vocoder_times_real', ' times real time')}. A training step of the "
        f"vocoder of 14 million parameters takes {each('vocoder_step_ms', ' ms')}; stage 1 `base` trains "
        f"on {each('stage1_windows_a_second', ' windows a second')}."
    )


def peer_verdict(run: dict) -> str:
    """How was Mono2Binaural trained?

    run  of made.training_of_peer; where it is not at hand any more, "measured_beside" is the hash of the
         models that its figures were measured beside
    """
    best, last, beside = run["best"], run["last"], run.get("measured_beside")
    error, later, of_copy = (
        in_digits(row[f"val/{name}difference_mse"])
        for row, name in ((best, ""), (last, ""), (best, "mono_copy_"))
    )
    return (
        f"{run['seconds'] / 60:.0f} minutes on one core, {last['step']} steps of "
        f"{run['config']['batch_size']} windows; taken are the weights of step {best['step']}, the best in "
        f"validation (squared error of L − R {error}, the mono copy's {of_copy}; at the end {later})"
        + (GONE.format(beside) if beside else "")
    )


def condition_verdict(known: dict[str, Rows]) -> str:
    """How far does it carry and where does it break?"""
    rows, spans = known["general"], []
    for name in HEADLINE:
        found = {row: entry["systems"][OURS["general"]][name] for row, entry in rows.items()}
        worst = max(found, key=lambda row: found[row]["times"][0])
        spans.append(f"`{name}` {percent(found[worst])} in *{worst}*")
    (entry,) = known["positions"].values()
    at = entry["positions"]
    wrong, n = (sum(one[key] for one in at) for key in ("wrong", "n"))
    first, last = (f"{in_digits(one['azimuth'], 3, '+')}°" for one in (at[0], at[-1]))
    edges, inside = (
        [abs(itd) for one in some for itd in one["itd_us"]] for some in (at[:: len(at) - 1], at[1:-1])
    )
    return (
        f"Where it gains least on the mono copy: {'; '.join(spans)}. Speech placed at {len(at)} directions "
        f"from {first} to {last} is on the wrong side in {wrong} of {n} sounds; at these two, the picture's "
        f"edges, its ITD is {in_digits(min(edges), 2)} to {in_digits(max(edges), 2)} µs, further in up to "
        f"{in_digits(max(inside), 2)} µs."
    )
