"""Figures of Mono2Binaural whose run is not here."""

import json

import numpy as np
import pytest

from DiffBinaural.experiments.catalogue import EXPERIMENTS
from DiffBinaural.experiments.figures import HEADLINE, PEER, compared
from DiffBinaural.experiments.kept import beside, with_known_peer, without_peer


def figures_of(systems):
    """An entry of docs/results.json; systems: name -> (clips,) errors"""
    return compared(
        {
            system: {str(clip): dict.fromkeys(HEADLINE, float(error)) for clip, error in enumerate(errors)}
            for system, errors in systems.items()
        },
        "quality",
    )


@pytest.fixture(params=range(4))
def errors(request):
    """Errors of twenty clips, some hard for all; ours have changed since the peer was measured."""
    rng = np.random.default_rng(request.param)
    hard = rng.gamma(2, 1, 20)
    draws = {name: size * hard * rng.uniform(0.6, 1.4, 20) for name, size in SIZES.items()}
    return draws, {**draws, "levelled": 0.8 * draws["levelled"]}


SIZES = {"levelled": 0.6, "geometry": 0.8, PEER: 1.0, "mono_copy": 1.6}


def test_a_difference_from_the_kept_peer_has_its_mean_and_holds_the_paired_interval(errors):
    before, now = errors
    wanted = figures_of(now)["compared"][PEER]
    lacking = figures_of({name: values for name, values in now.items() if name != PEER})
    entry = with_known_peer({"quality/a": lacking}, {"quality/a": figures_of(before)})["quality/a"]
    assert entry["systems"][PEER] == figures_of(before)["systems"][PEER]
    for name, exact in wanted.items():
        found = entry["compared"][PEER][name]
        assert found["difference"] == pytest.approx(exact["difference"])
        assert found["low"] <= exact["low"] < exact["high"] <= found["high"]
        assert found["times"][0] == pytest.approx(exact["times"][0])


def test_of_other_scenes_nothing_is_kept(errors):
    before, now = errors
    lacking = figures_of({name: 1.01 * values for name, values in now.items() if name != PEER})
    assert with_known_peer({"quality/a": lacking}, {"quality/a": figures_of(before)}) == {
        "quality/a": lacking
    }


def test_a_peer_that_was_measured_stays(errors):
    before, now = errors
    entries = {"quality/a": figures_of(now), "parts/a": {"systems": {"model": {}}}, "data/a": {}}
    assert with_known_peer(entries, {name: figures_of(before) for name in entries}) == entries


def test_without_the_peer_an_experiment_runs_all_else():
    for e in EXPERIMENTS:
        commands = without_peer(e).commands
        assert PEER not in " ".join(commands)
        if commands != e.commands:
            assert e.table in ("quality", "kit")
            assert set(commands) - set(e.commands) == {commands[-1]}  # only what is evaluated is another


def test_what_the_peer_was_measured_beside_stays_noted(tmp_path):
    known = {"quality/a": {"systems": {PEER: {}}, "bundled": {"unet": "aaaa"}}}
    note = tmp_path / "peer.json"
    assert beside(known, note) == {"measured_beside": "aaaa"}
    note.write_text(json.dumps({"seconds": 5, "measured_beside": "bbbb"}))
    assert beside(known, note) == {"seconds": 5, "measured_beside": "bbbb"}
