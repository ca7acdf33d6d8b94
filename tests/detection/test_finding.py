"""When the finder looks for what: dear looks only where cheap ones do not tell enough."""

import numpy as np
import pytest

from DiffBinaural.detection import finding
from DiffBinaural.detection.found import Found

PERSON = Found((60.0, 20.0, 100.0, 110.0), 0.9, "person")
FACE = Found((72.0, 22.0, 88.0, 42.0), 0.9, "face")
DOG = Found((20.0, 60.0, 60.0, 100.0), 0.9, "dog")
SECONDS, RATE = 8, 10


def finder_of(monkeypatch, whole, faces):
    """A finder whose detectors find whole(k), faces(k) at their k-th call; both numbers of calls."""
    calls = {"whole": 0, "faces": 0}

    def counted(kind, answer):
        def detect(picture):
            calls[kind] += 1
            return answer(calls[kind])

        return detect

    monkeypatch.setattr(finding, "detector_named", lambda name: counted("whole", whole))
    monkeypatch.setattr(finding, "CenterFace", lambda: counted("faces", faces))
    return finding.SourceFinder(), calls


def watched(finder, ask=()):
    """The detections of SECONDS of an even picture; `found` is called at the times of `ask`, too."""
    picture, made = np.full((120, 160, 3), 90, np.uint8), []
    times = np.arange(SECONDS * RATE) / RATE
    asked = 0
    for time in times:
        finder.look(time, picture)
        finder.watch(time, picture[..., 0])
        if time in ask:
            until = np.searchsorted(times, time - finding.AHEAD)
            made += finder.found(times[asked:until])
            asked = until
    return made + finder.found(times[asked:], ended=True)


@pytest.mark.parametrize(
    ("found", "faces", "whole_looks", "face_looks"),
    [
        ([PERSON], [FACE], (4, 5), (16, 17)),  # the face tells
        ([PERSON], [], (8, 9), (12, 13)),  # it is not seen: the person is looked for
        ([DOG], [], (16, 17), (16, 17)),  # no people: no faces
        ([PERSON, DOG], [FACE], (16, 17), (16, 17)),
        ([PERSON, PERSON], [FACE], (8, 9), (16, 17)),  # one of two shows their face
        ([], [], (8, 9), (8, 9)),
    ],
)
def test_what_is_looked_for_depends_on_what_is_there(monkeypatch, found, faces, whole_looks, face_looks):
    finder, calls = finder_of(monkeypatch, lambda k: found, lambda k: faces)
    watched(finder)
    assert whole_looks[0] <= calls["whole"] <= whole_looks[1]
    assert face_looks[0] <= calls["faces"] <= face_looks[1]


@pytest.mark.parametrize(("speed", "looks"), [(0, (16, 17)), (6, (25, 26))])
def test_who_moves_is_looked_at_more_often(monkeypatch, speed, looks):
    """Pixels from look to look, of a face of 16."""
    finder, calls = finder_of(
        monkeypatch,
        lambda k: [Found((20, 20, 140, 110), 0.9, "person")],
        lambda k: [Found((30 + speed * k % 90, 22, 46 + speed * k % 90, 42), 0.9, "face")],
    )
    watched(finder)
    assert 4 <= calls["whole"] <= 5
    assert looks[0] <= calls["faces"] <= looks[1]


def test_a_face_that_is_no_longer_seen_is_looked_for_as_a_person(monkeypatch):
    """Whoever turns away after 3 s stays one track."""
    finder, _ = finder_of(monkeypatch, lambda k: [PERSON], lambda k: [FACE] if k < 7 else [])
    made = watched(finder)
    assert {one.track for one in made} == {"person 1"}
    assert max(one.time for one in made) > SECONDS - 1


def test_when_it_is_asked_changes_nothing(monkeypatch):
    """Which pictures are looked at depends on the pictures alone, not on how fast or how often."""

    def both(ask):
        finder, calls = finder_of(
            monkeypatch, lambda k: [PERSON] if k % 3 else [PERSON, DOG], lambda k: [FACE] if k % 4 else []
        )
        return [(one.time, one.box, one.track) for one in watched(finder, ask)], calls

    assert both(ask=()) == both(ask=(3.0, 4.5, 6.0))
