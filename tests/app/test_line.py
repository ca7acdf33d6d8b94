"""The line: who comes when."""

import threading
import time

import pytest

from BinauralApp.line import Line


@pytest.fixture
def line():
    line = Line()
    yield line
    line.end()
    assert not line.worker.is_alive()


def held(line):
    """The worker is busy until the event that is returned is set."""
    go, begun = threading.Event(), threading.Event()

    def wait():
        begun.set()
        go.wait(20)

    line.put("first", wait)
    assert begun.wait(20)
    return go


def empty(line):
    end = time.monotonic() + 20
    while line.owner or line.waiting:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_first_come_first_served_but_quick_ones_first(line):
    order, go = [], held(line)
    for name, quick in (("a", False), ("b", False), ("c", True), ("d", True)):
        line.put(name, lambda name=name: order.append(name), quick=quick)
    assert [line.ahead(name) for name in ("first", "c", "d", "a", "b", "nobody")] == [0, 1, 2, 3, 4, None]
    go.set()
    empty(line)
    assert order == ["c", "d", "a", "b"]


def test_a_newer_wish_takes_the_place_of_the_one_that_waits(line):
    order, go = [], held(line)
    line.put("a", lambda: order.append("old"))
    line.put("b", lambda: order.append("b"))
    line.put("a", lambda: order.append("new"))
    go.set()
    empty(line)
    assert order == ["new", "b"]


def test_who_leaves_is_not_served_and_a_failure_ends_nothing(line, capsys):
    order, go = [], held(line)
    line.put("a", lambda: order.append("a"))
    line.put("b", lambda: 1 / 0)
    line.put("c", lambda: order.append("c"))
    line.leave("a")
    go.set()
    empty(line)
    assert order == ["c"]
    assert "ZeroDivisionError" in capsys.readouterr().err
