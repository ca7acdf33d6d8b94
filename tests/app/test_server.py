"""The page over HTTP: from an upload to what is taken home, and what goes wrong on the way."""

import csv
import gc
import io
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
from head_shadow import shade

ROOT = Path(__file__).parents[2]
VIEW = 60.0  # degrees, of the example
BUDGET = 3.0  # seconds of work in which ten seconds of video are made anew


def differences(content: bytes) -> tuple[float, float]:
    """-> level of the right ear over the left one, dB; of the difference over the sum, dB"""
    left, right = soundfile.read(io.BytesIO(content))[0].T
    power = [float(np.mean(x**2)) + 1e-12 for x in (left, right, left - right, left + right)]
    return 10 * np.log10(power[1] / power[0]), 10 * np.log10(power[2] / power[3])


def run_command(command: str, folder: Path) -> bytes:
    """What the command of the page writes in a folder."""
    words = shlex.split(command)
    assert words[0] == "diffbinaural"
    script = ROOT / "BigVGAN" / "inference_e2e.py"
    done = subprocess.run([sys.executable, script, *words[1:]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / words[words.index("--output") + 1]).read_bytes()


def test_the_page_is_whole_in_itself(page):
    for name in ("", "page.css", "page.js", "sound.js", "plan.js", "dom.js"):
        status, content = page.ask("GET", name)
        assert status == 200
        for outside in (b"http://", b"https://", b"@import", b"url("):
            assert outside not in content.replace(b"http://www.w3.org/2000/svg", b"")


def test_the_example_shows_who_was_taken_and_how_sure(page, example):
    made = page.get(f"api/sessions/{example}")["made"]
    tracks = {t["name"]: t for t in made["tracks"]}
    assert len(tracks) == 2
    taken, other = sorted(tracks.values(), key=lambda t: -t["sounding"])
    assert taken["sounding"] > 0.6 > 0.3 > other["sounding"]
    assert np.mean([row[1] for row in taken["way"]]) == pytest.approx(9.2, abs=3)  # examples/speaker.csv
    for track in (taken, other):
        _, x1, y1, x2, y2 = np.array(track["boxes"]).T
        assert len(x1) > 80
        assert ((x1 >= 0) & (x1 < x2) & (x2 <= 1) & (y1 >= 0) & (y1 < y2) & (y2 <= 1)).all()
    assert set(made["gains"]) == {"mono", "made"}
    assert [set(cue["paths"]) for cue in made["cues"]] == [{"made"}, {"made"}]


def test_what_is_heard_is_equally_loud(page, example):
    made = page.get(f"api/sessions/{example}")["made"]
    levels = {}
    for name, gain in made["gains"].items():
        file = f"made-{made['version']}.wav" if name == "made" else f"{name}.wav"
        wav, rate = soundfile.read(io.BytesIO(page.ask("GET", f"api/sessions/{example}/files/{file}")[1]))
        assert (len(wav) / rate, rate) == (pytest.approx(made["seconds"]), made["rate"])
        levels[name] = 20 * np.log10(gain * np.sqrt(np.mean(wav**2)))
    assert max(made["gains"].values()) == 1
    assert levels["made"] == pytest.approx(levels["mono"], abs=0.02)


def test_a_dragged_source_is_heard_where_it_was_put_within_seconds(page, sessions, example):
    while sessions.line.ahead("voices") is not None:
        time.sleep(0.05)
    taken = max(page.get(f"api/sessions/{example}")["made"]["tracks"], key=lambda t: t["sounding"])["name"]
    heard, work = {}, []
    for azimuth in (-60, 0, 60, 150):
        before = time.process_time()
        move = {"track": taken, "time": 2.0, "azimuth": azimuth, "reach": "all"}
        made = page.render(example, fov=VIEW, moves=[move])
        work.append((time.process_time() - before) * 10 / made["seconds"])
        heard[azimuth] = shade(page.take(example, "wav"))
        rows = csv.DictReader(io.StringIO(page.take(example, "csv").decode()))
        there = [float(row["azimuth"]) for row in rows if row["track"] == taken and row["time"] == "2.0"]
        assert there == [azimuth]
    print("right over left:", heard)
    assert heard[-60] < -3 < heard[0] < 3 < heard[60]
    assert heard[150] > 2
    print("work for ten seconds of video:", *(f"{seconds:.2f} s" for seconds in work))
    assert min(work) < BUDGET


def test_controls_do_what_they_say(page, example):
    wide = page.render(example, fov=VIEW, strength=2.0)
    apart = {2.0: differences(page.take(example, "wav"))[1]}
    for strength in (1.0, 0.0):
        page.render(example, fov=VIEW, strength=strength, head="kemar" if strength == 0 else "sphere")
        apart[strength] = differences(page.take(example, "wav"))[1]
    assert apart[0.0] < -60 < apart[1.0] < apart[2.0]
    assert "--strength 2 " in wide["command"]
    other = page.render(example, fov=120.0)
    widest = [max(abs(row[1]) for row in track["way"]) for track in other["tracks"]]
    near = [max(abs(row[1]) for row in track["way"]) for track in wide["tracks"]]
    assert all(a > 1.5 * b for a, b in zip(widest, near, strict=True))
    page.render(example, fov=VIEW, strength=2.0, mono="downmix")
    assert differences(page.take(example, "wav"))[1] != apart[2.0]
    away = next(t for t in wide["tracks"] if t["sounding"] < 0.3)["name"]
    page.render(example, fov=VIEW, sounding=away, room=False)
    assert differences(page.take(example, "wav"))[0] < -1  # the man on the left


def test_the_first_result_comes_back_as_it_was(page, example):
    first = page.get(f"api/sessions/{example}")["made"]
    before = page.take(example, "wav")
    page.render(example, fov=VIEW, strength=0.5)
    assert page.take(example, "wav") != before
    assert page.render(example, fov=VIEW) == first
    assert page.take(example, "wav") == before


def test_what_is_taken_home_is_what_the_command_writes(page, example, tmp_path):
    state = page.get(f"api/sessions/{example}")
    (tmp_path / state["name"]).write_bytes(page.ask("GET", f"api/sessions/{example}/files/film")[1])
    assert "--trajectory_in" not in state["made"]["command"]
    assert run_command(state["made"]["command"], tmp_path) == page.take(example, "wav")
    taken = max(state["made"]["tracks"], key=lambda t: t["sounding"])["name"]
    moves = [
        {"track": taken, "time": 1.0, "azimuth": -50.5, "reach": "all"},
        {"track": taken, "time": 5.0, "azimuth": 40, "reach": "onwards"},
    ]
    made = page.render(example, fov=75.5, strength=1.35, head="kemar", mono="downmix", moves=moves)
    (tmp_path / made["csv"]).write_bytes(page.take(example, "csv"))
    assert run_command(made["command"], tmp_path) == page.take(example, "wav")
    assert (tmp_path / "talking_binaural.mp4").read_bytes() == page.take(example, "film")


def test_a_file_with_stereo_of_its_own_is_compared_with_it(page, film):
    status, answer = page.upload(film("two ways & more.mp4", 2, channels=2))
    assert status == 200
    made = page.done(answer["id"])["made"]
    assert set(made["gains"]) == {"mono", "made", "own"}
    assert [set(cue["paths"]) for cue in made["cues"]] == [{"made", "own"}] * 2
    own = page.ask("GET", f"api/sessions/{answer['id']}/files/own.wav")[1]
    assert differences(own)[0] == pytest.approx(20 * np.log10(0.3), abs=0.5)
    assert shlex.split(made["command"])[2] == "two ways & more.mp4"
    page.post(f"api/sessions/{answer['id']}/close")


def test_a_video_without_sound_waits_for_one_and_goes_on(page, film, tmp_path):
    _, answer = page.upload(film("quiet.mp4", 2, sound=False))
    assert answer["needs_sound"]
    state = page.get(f"api/sessions/{answer['id']}")
    assert state["needs_sound"]
    assert "sound" in state["error"]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound at all")
    assert page.upload(bad, where=f"sessions/{answer['id']}/sound")[0] == 400
    soundfile.write(tmp_path / "voice.wav", 0.1 * np.ones(32_000), 16_000)
    assert page.upload(tmp_path / "voice.wav", where=f"sessions/{answer['id']}/sound")[0] == 200
    made = page.done(answer["id"])["made"]
    assert "--input_wav voice.wav" in made["command"]
    page.post(f"api/sessions/{answer['id']}/close")


def folders(sessions):
    return sorted(path.name for path in sessions.root.iterdir() if path.is_dir())


def test_what_cannot_be_taken_is_refused_in_a_sentence_and_leaves_nothing(page, sessions, film, tmp_path):
    before = folders(sessions)
    whole = film("whole.mp4", 2)
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 5000)
    (tmp_path / "half.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "large.mp4").write_bytes(bytes(5_100_000))
    soundfile.write(tmp_path / "sound.wav", np.zeros(16_000), 16_000)
    refused = {"broken": 400, "half": 400, "empty": 400, "large": 413}
    files = {tmp_path / f"{name}.mp4": status for name, status in refused.items()}
    for path, wanted in {**files, film("long.mp4", 14): 400, tmp_path / "sound.wav": 400}.items():
        status, answer = page.upload(path)
        assert status == wanted, answer
        assert path.name in answer["error"]
        assert str(sessions.root) not in answer["error"]
        assert "\n" not in answer["error"]
    assert folders(sessions) == before
    assert page.upload(film("ok.mp4", 1.5), name="../../odd\n.mp4")[0] == 200  # the page goes on
    for session in list(sessions.open.values()):
        assert session.film.parent.parent.parent == sessions.root
        sessions.close(session)


def test_requests_that_are_none_are_refused(page, example):
    assert page.ask("GET", "api/sessions/unknown")[0] == 404
    assert page.ask("GET", f"api/sessions/{example}/files/..%2Fin%2Ftalking.mp4")[0] == 404
    assert page.ask("GET", f"api/sessions/{example}/files/nothing.wav")[0] == 404
    assert page.ask("GET", f"api/sessions/{example}/take/everything")[0] == 404
    for body in (b"{", b"[]", b'{"fov": 500}', b'{"head": "/etc/passwd"}', b'{"head": "../x.sofa"}', b"\xff"):
        assert page.ask("POST", f"api/sessions/{example}/wanted", body)[0] == 400
    assert page.ask("POST", f"api/sessions/{example}/wanted", b" " * 200_000)[0] == 413
    assert page.ask("POST", f"api/sessions/{example}/head?name=a.sofa", b"none")[0] == 400
    assert page.ask("GET", "", Host="attacker.example")[0] == 400
    assert page.done(example)["made"]


def write_head(path: Path) -> Path:
    """A SOFA file of a sphere with a radius of 12 cm, every 15 degrees."""
    from DiffBinaural.heads.sphere import Sphere

    azimuth, elevation = (x.ravel() for x in np.meshgrid(np.arange(0, 360, 15), np.arange(-90, 91, 15)))
    spectra = Sphere(0.12).responses(azimuth, elevation, 48_000, 256).numpy()
    impulses = np.roll(np.fft.irfft(spectra, 256), 64, -1).swapaxes(0, 1)
    with h5py.File(path, "w") as file:
        for name, text in {
            "SOFAConventions": "SimpleFreeFieldHRIR",
            "Version": "1.0",
            "Conventions": "SOFA",
        }.items():
            file.attrs[name] = np.bytes_(text)
        file["Data.IR"], file["Data.SamplingRate"], file["Data.Delay"] = (
            impulses,
            [48_000.0],
            np.zeros((1, 2)),
        )
        file["SourcePosition"] = np.stack([-azimuth % 360, elevation, np.full(len(azimuth), 1.4)], 1)
        file["SourcePosition"].attrs["Type"] = np.bytes_("spherical")
        file["SourcePosition"].attrs["Units"] = np.bytes_("degree, degree, metre")
        file["ReceiverPosition"] = np.array([[[0], [0.12], [0]], [[0], [-0.12], [0]]])
        file["ListenerView"] = np.array([[1.0, 0, 0]])
    return path


def test_an_own_head_is_heard(page, example, tmp_path):
    sofa = write_head(tmp_path / "large.sofa")
    assert page.upload(sofa, where=f"sessions/{example}/head") == (200, {"head": "large.sofa"})
    page.render(example, fov=VIEW, room=False, strength=0.99)  # not the first result, which needs no work
    usual = page.take(example, "wav")
    made = page.render(example, fov=VIEW, room=False, strength=0.99, head="large.sofa")
    assert "--head large.sofa --renderer geometry" in made["command"]
    assert page.take(example, "wav") != usual


def resident() -> float:
    """Memory of this process, MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def alive() -> dict[str, int]:
    """How many objects there are that hold a video's pictures or sounds."""
    gc.collect()
    kinds = ("Session", "Found", "VideoFrames", "SourceFinder", "AudioSource", "Detection")
    names = [type(one).__name__ for one in gc.get_objects()]
    return {kind: names.count(kind) for kind in kinds}


def half_an_upload(page, content: bytes) -> None:
    """Begin an upload and hang up."""
    with socket.create_connection(("localhost", page.port)) as link:
        lines = (
            "POST /api/sessions?name=cut.mp4 HTTP/1.1",
            "Host: localhost",
            f"Content-Length: {len(content)}",
        )
        link.sendall("\r\n".join([*lines, "", ""]).encode() + content[: len(content) // 2])
        time.sleep(0.3)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_ten_at_once_of_which_one_hangs_up(page, sessions, film):
    clip = film("clip.mp4", 1.5)
    for _ in range(3):
        page.done(page.upload(clip)[1]["id"])  # whatever is loaded once, or kept for the next
    for session in list(sessions.open.values()):
        sessions.close(session)
    before, memory, kept, made = folders(sessions), resident(), alive(), {}

    def visit(number: int) -> None:
        status, answer = page.upload(clip, f"clip{number}.mp4")
        assert status == 200
        made[number] = page.done(answer["id"])

    visits = [threading.Thread(target=visit, args=[k]) for k in range(9)]
    visits.append(threading.Thread(target=half_an_upload, args=[page, clip.read_bytes() * 20]))
    for one in visits:
        one.start()
    for one in visits:
        one.join(300)
    assert [state["made"]["version"] for state in made.values()] == [1] * 9
    assert len(folders(sessions)) == len(before) + 9
    for session in list(sessions.open.values()):
        sessions.close(session)
    assert folders(sessions) == before
    made.clear()
    grown = resident() - memory
    print(f"memory: {memory:.0f} MB before, {grown:+.0f} MB after ten")
    assert grown < 250  # what the C library keeps for the next videos; the same after twenty
    end = time.monotonic() + 20
    while alive() != kept:  # the server may still be ending the upload that hung up
        assert time.monotonic() < end, (alive(), kept)
        time.sleep(0.2)


def test_no_more_videos_than_there_is_room_for(page, sessions, film, monkeypatch):
    clip = film("clip.mp4", 1)
    monkeypatch.setattr(sessions, "cfg", replace(sessions.cfg, visitors=max(len(sessions.open), 1)))
    if not sessions.open:
        sessions.add("other.mp4")
    assert page.upload(clip)[0] == 503
    for session in list(sessions.open.values()):
        sessions.close(session)


def test_a_video_left_alone_is_deleted(page, sessions, film):
    _, answer = page.upload(film("left.mp4", 1.5))
    page.done(answer["id"])
    session = sessions.open[answer["id"]]
    session.seen -= 60 * sessions.cfg.keep + 1
    sessions.sweep()
    assert not session.folder.exists()
    assert page.ask("GET", f"api/sessions/{answer['id']}")[0] == 404
