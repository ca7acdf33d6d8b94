"""`make gpu`: parts have their time, are cut, kept and left out; what they made comes home in small files."""

import json
import sys
import tarfile
import time
import zipfile

import gpu_checks
import on_gpu
import pytest
from on_gpu import CUT, DONE, FAILED, OnGpuConfig, Processes, run_parts


def command(code):
    return [sys.executable, "-S", "-c", code]


def processes(folder):
    return Processes(folder / "logs", {"PATH": "/usr/bin:/bin"})


def test_groups_run_one_after_the_other_with_a_log_each(tmp_path):
    groups = [{"a": command("print('first')"), "b": command("print('too')")}, {"c": command("print(3)")}]
    assert processes(tmp_path).run(groups, time.monotonic() + 60) == DONE
    assert [(tmp_path / f"logs/{name}.txt").read_text() for name in "abc"] == ["first\n", "too\n", "3\n"]


def test_after_a_command_that_fails_none_follows(tmp_path):
    groups = [{"a": command("raise SystemExit(3)")}, {"b": command("")}]
    assert processes(tmp_path).run(groups, time.monotonic() + 60) == FAILED
    assert not (tmp_path / "logs/b.txt").exists()


def test_a_command_over_its_time_is_asked_to_stop_then_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(on_gpu, "KILLED_AFTER", 0.5)
    polite = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('saved'))); "
        "print('on', flush=True); time.sleep(60)"
    )
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    running, began = processes(tmp_path), time.monotonic()
    running.start("polite", command(polite))
    while "on" not in (tmp_path / "logs/polite.txt").read_text():
        time.sleep(0.05)
    assert running.run([{"polite": command(polite), "deaf": command(deaf)}], began) == CUT
    assert "saved" in (tmp_path / "logs/polite.txt").read_text()
    assert not running.started
    assert time.monotonic() - began < 30


def test_what_a_part_leaves_goes_to_the_next_and_parts_that_were_done_are_kept():
    left = {}

    def part(name, status):
        def run(deadline):
            left[name] = deadline - time.monotonic()
            return status

        return run

    parts = {"a": part("a", DONE), "b": part("b", CUT), "c": part("c", DONE)}
    shares = {"a": 10, "b": 20, "c": 5}
    first = {name: result["status"] for name, result in run_parts(parts, shares, 40, {"c": {"status": DONE}})}
    assert first == {"a": DONE, "b": CUT}
    assert left == {"a": pytest.approx(20, abs=0.5), "b": pytest.approx(40, abs=0.5)}


def test_without_time_a_part_has_none():
    found = dict(run_parts({"a": lambda deadline: deadline <= time.monotonic()}, {"a": 5}, -1, {}))
    assert found["a"]["status"] is True


def test_wheels_are_put_on_the_path(tmp_path):
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels/thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/__init__.py", "value = 7")
    site = on_gpu.unpacked(tmp_path / "wheels", tmp_path / "site")
    found = on_gpu.environment(site, tmp_path, dry=True)
    running = Processes(tmp_path / "logs", found)
    assert running.run([{"a": command("import thing; print(thing.value)")}], time.monotonic() + 60) == DONE
    assert (tmp_path / "logs/a.txt").read_text() == "7\n"


def test_what_is_too_large_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(on_gpu, "LARGEST", 1000)
    out, home = tmp_path / "out", tmp_path / "home"
    for name, size in (("checks.json", 10), ("bench.json", 1001), ("logs/a.txt", 5)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("x" * size)
    (line,) = on_gpu.brought_home(out, home)
    assert "bench.json has 1001 bytes" in line
    assert sorted(path.name for path in home.iterdir()) == ["checks.json", "logs.tar.gz"]
    with tarfile.open(home / "logs.tar.gz") as packed:
        assert packed.getnames() == ["logs/a.txt"]


def test_a_part_of_another_name_is_refused():
    with pytest.raises(ValueError, match="test"):
        OnGpuConfig(parts=("test",))


def test_a_small_dry_run_answers_the_checks_and_goes_on_where_it_was(tmp_path, monkeypatch):
    def few(out, cfg, deadline):
        words = f"--dry --output_json {out}/checks.json --only norm_keeps_layout error_of_amp_off"
        return [{"checks": on_gpu.script("tests/gpu_checks.py", words)}]

    monkeypatch.setitem(on_gpu.PARTS, "checks", few)
    cfg = OnGpuConfig(out=str(tmp_path / "out"), wheels=str(tmp_path / "none"), parts=("checks",), dry=True)
    on_gpu.main(cfg)
    answers = json.loads((tmp_path / "out/home/checks.json").read_text())
    assert answers["norm_keeps_layout"] is True
    assert answers["error_of_amp_off"] < 1e-6
    before = (tmp_path / "out/summary.json").read_text()
    on_gpu.main(cfg)  # nothing is left to do
    assert (tmp_path / "out/summary.json").read_text() == before


def test_the_page_shows_answers_to_questions_that_there_are():
    answers = json.loads((on_gpu.ROOT / "docs/card.json").read_text())
    assert answers.keys() - {"machine", "note"} <= gpu_checks.CHECKS.keys()
    assert answers["machine"]["card"]
