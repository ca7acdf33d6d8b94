"""One progress bar is drawn at a time, whatever is open."""

import io
import subprocess
import sys

import pytest
from tqdm import tqdm

from DiffBinaural.utils.progress import Progress


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self):
        return True


def nested(bar):
    """An inner bar inside an outer one, whose own number is kept."""
    with bar(total=2, desc="training", unit="step", ncols=80) as outer:
        for _ in range(2):
            outer.set_postfix(loss=3, refresh=False)
            outer.update()
            for _ in bar(range(3), desc="validating", leave=False):
                pass


on_any_stderr = pytest.mark.parametrize("kind", [Terminal, io.StringIO])


@on_any_stderr
def test_an_inner_bar_leaves_no_escape_codes_and_no_lines(kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := kind())
    nested(Progress)
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue().count("\n") == 1, "the outer bar's own"
    assert screen.getvalue().rstrip().endswith("loss=3]")


def test_tqdm_alone_would_leave_them(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    nested(tqdm)
    assert "\x1b[A" in screen.getvalue()


def test_an_inner_bar_shows_in_the_outer_one(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    nested(Progress)
    assert "loss=3, validating: 0/3]" in screen.getvalue()


@on_any_stderr
def test_a_bar_that_was_left_open_is_not_drawn_by_a_later_one(kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := kind())
    outer = Progress(total=2, desc="first")
    inner = Progress(total=2, desc="second")
    outer.close()
    lines = screen.getvalue()
    inner.update()
    inner.close()
    assert screen.getvalue() == lines
    with Progress(total=2, desc="third"):
        assert "third" in screen.getvalue()


@on_any_stderr
def test_a_line_that_is_written_stands_alone(kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := kind())
    with Progress(total=2) as _, Progress(total=None) as _:
        tqdm.write("a line", file=screen)
    assert "a line" in screen.getvalue().replace("\r", "\n").splitlines()
    assert "\x1b" not in screen.getvalue()


def test_bars_are_turned_off_by_the_environment_and_by_the_caller():
    code = (
        "from DiffBinaural.utils.progress import Progress\n"
        "assert list(Progress(range(3), disable=False)) == [0, 1, 2]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"TQDM_DISABLE": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


@on_any_stderr
def test_a_disabled_bar_draws_nothing(kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := kind())
    assert list(Progress(range(3), disable=True)) == [0, 1, 2]
    assert screen.getvalue() == ""


def test_what_follows_a_bar_that_is_removed_begins_its_line(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    for _ in Progress(range(3), desc="reading", leave=False):
        pass
    print("error: a line", file=sys.stderr)
    assert screen.getvalue().endswith("\rerror: a line\n")
