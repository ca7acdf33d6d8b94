"""Scenes of pictures: what is seen is of the class of what is heard, where its box is, when it is heard."""

import csv
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from DiffBinaural import simulate_dataset
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.simulation.config import FRAME, RATE, SimulateConfig
from DiffBinaural.simulation.cutouts import premultiplied, random_crop_of, still_cutout
from DiffBinaural.simulation.material import Material, material_of
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.simulation.shapes import STILL, Pose
from DiffBinaural.simulation.signals import SPEED_STEP, recordings
from DiffBinaural.simulation.sprites import Gesture, sprite
from DiffBinaural.utils.arguments import parse
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.media import pictures

COLOURS = {"dog": (230, 30, 30), "cat": (30, 30, 230), "car": (30, 210, 30)}


def disc(colour, size=(60, 80)):
    """An ellipse of one colour that leaves the corners of its picture transparent."""
    y, x = np.mgrid[: size[1], : size[0]]
    inside = ((2 * x + 1) / size[0] - 1) ** 2 + ((2 * y + 1) / size[1] - 1) ** 2 <= 1
    return np.dstack([np.full(size[::-1], c) for c in colour] + [255 * inside]).astype(np.uint8)


def hiss(seconds, seed=0):
    return 0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content.ndim == 1:
        soundfile.write(path, content, RATE)
    else:
        Image.fromarray(content).save(path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Sounds of four classes and of none, pictures of three, and of one that is not heard."""
    root = tmp_path_factory.mktemp("world")
    for number, kind in enumerate((*COLOURS, "bell")):
        put(root / "sounds" / kind / f"{kind}.wav", hiss(2, number))
    put(root / "sounds/vowel_alone.wav", hiss(2, 9))
    for kind, colour in COLOURS.items():
        put(root / "cutouts" / kind / "one.png", disc(colour))
    put(root / "cutouts/duck/one.webp", disc((255, 255, 0)))
    put(root / "backgrounds/grey.jpg", np.full((300, 500, 3), 128, np.uint8))
    return root


def configure(world, out, **changes):
    folders = {"audio_dir": f"{world}/sounds", "cutouts": f"{world}/cutouts"}
    small = {"clips": 6, "seconds": 1.0, "sources": (1, 1), "room": False, "workers": 1, "seed": 3}
    return SimulateConfig(
        **{"out": str(out), "backgrounds": f"{world}/backgrounds", **folders, **small, **changes}
    )


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- what is seen is what is heard ------------------------------------------------------------------------


def test_what_looks_like_a_dog_barks(world, tmp_path):
    """By colours in the video itself, labels and truth; a class without pictures keeps a drawn shape."""
    simulate_dataset.main(configure(world, tmp_path, clips=14, bystanders=(0, 1)))
    facts = json.loads((tmp_path / "scenes.json").read_text())
    detected, kinds = rows(tmp_path / DETECTIONS), set()
    for name, scene in facts.items():
        seen = next(pictures(tmp_path / f"videos/{name}.mp4", 10)).astype(int)
        for each in (*scene["sources"], *scene["bystanders"]):
            kind, mine = each["family"], [row for row in detected if row["video_id"] == name]
            assert {row["label"] for row in mine if int(row["track"]) == each["track"]} == {kind}
            assert each.get("cutout") == (f"{kind}/one.png" if kind in COLOURS else None)
            kinds.add(kind)
        if len(mine) == 10 and kind in COLOURS:
            x1, y1, x2, y2 = (float(mine[0][corner]) for corner in ("x1", "y1", "x2", "y2"))
            there = seen[round((y1 + y2) / 2), min(max(round((x1 + x2) / 2), 0), FRAME[0] - 1)]
            assert np.abs(there - COLOURS[kind]).max() < 60
    assert kinds == {*COLOURS, "bell", "vowel_alone"}


def test_pictures_change_nothing_but_pictures(world):
    files, material = recordings(world / "sounds"), material_of(configure(world, "x"))
    for seed in range(4):
        drawn, shown = (simulate(seed, seconds=0.5, files=files, material=m) for m in (Material(), material))
        assert np.array_equal(drawn.binaural, shown.binaural)
        for one, other in zip(drawn.sources, shown.sources, strict=True):
            assert np.array_equal(one.azimuth, other.azimuth)
            middles = [(s.boxes[:, :2] + s.boxes[:, 2:]) / 2 for s in (one, other)]
            assert np.allclose(*middles), "larger or smaller, in the same place"


def test_the_same_seed_makes_the_same_files_and_other_pictures_are_another_dataset(world, tmp_path):
    for folder, workers in (("a", 1), ("b", 2)):
        cfg = configure(world, tmp_path / folder, workers=workers, varied_fraction=0.5, box_noise=0.5)
        simulate_dataset.main(cfg)
    a, b = (
        {p.relative_to(tmp_path / f): p.read_bytes() for p in (tmp_path / f).rglob("*") if p.is_file()}
        for f in ("a", "b")
    )
    assert a == b
    with pytest.raises(ValueError, match="cutouts"):
        simulate_dataset.main(
            configure(world, tmp_path / "a", cutouts=None, varied_fraction=0.5, box_noise=0.5)
        )
    with pytest.raises(ValueError, match="box_noise"):
        simulate_dataset.main(configure(world, tmp_path / "a", varied_fraction=0.5))


# --- where it is ------------------------------------------------------------------------------------------

UNIT = st.floats(0, 1)


@settings(max_examples=40)
@given(
    pose=st.builds(Pose, UNIT, st.floats(-1, 1)),
    x=st.floats(70, 170),
    y=st.floats(45, 75),
    tall=st.floats(15, 40),
)
def test_a_box_is_tight_around_a_picture_in_any_pose(pose, x, y, tall):
    one = sprite(premultiplied(disc((250, 250, 250)))[None], tall, 48.0, gesture=Gesture(0.09, 0.1, 6.0))
    picture = Image.new("RGB", FRAME)
    one.draw(picture, (x, y), pose, 0.0)
    lines, cols = np.nonzero(np.asarray(picture)[..., 0] > 64)
    still = np.array([[x, y, x, y]]) + np.array([-1, -1, 1, 1]) * np.tile(one.half, 2)
    box = one.fitted(still, [pose])[0]
    assert [cols.min(), lines.min(), cols.max() + 1, lines.max() + 1] == pytest.approx(box, abs=1.2)
    assert (box[:2] + box[2:]) / 2 == pytest.approx((x, y))


def test_what_is_transparent_shows_the_background_and_a_soft_edge_mixes():
    half = disc((255, 255, 255))
    half[:40, :, 3] //= 2
    one = sprite(premultiplied(half)[None], 40.0, 40.0)
    picture = Image.new("RGB", FRAME, (0, 0, 100))
    one.draw(picture, (120, 60), STILL, 0.0)
    seen = np.asarray(picture)
    assert seen[22, 92].tolist() == [0, 0, 100]  # a corner of the picture
    assert seen[80, 120].tolist() == [255, 255, 255]
    assert seen[40, 120] == pytest.approx([127, 127, 177], abs=2)


def test_a_picture_moves_with_its_sound_within_its_outline():
    stripes = disc((255, 255, 255))
    stripes[::8, :, :3] = 0
    one = sprite(premultiplied(stripes)[None], 40.0, 40.0, gesture=Gesture(jaw=0.08))
    seen = []
    for level in (0.0, 0.5, 1.0):
        picture = Image.new("RGB", FRAME)
        one.draw(picture, (120, 60), Pose(level), 0.0)
        seen.append(np.asarray(picture).astype(int))
    upper, lower = (np.abs(seen[2] - seen[0])[part].mean() for part in (slice(20, 44), slice(60, 95)))
    assert upper < 1 < 10 < lower


@pytest.mark.parametrize("frame", [(480, 270), (120, 160)])
def test_things_are_scaled_with_the_frame_and_keep_their_aspect(world, frame):
    material, files = material_of(configure(world, "x")), recordings(world / "sounds" / "dog")
    halves = []
    for seed in range(20):
        scene = simulate(
            seed, seconds=0.2, sources=(1, 1), room=False, files=files, material=material, frame=frame
        )
        assert scene.frames.shape[1:] == (*frame[::-1], 3)
        x1, y1, x2, y2 = scene.sources[0].boxes[0]
        assert (x2 - x1) / (y2 - y1) == pytest.approx(60 / 80, rel=0.25)
        halves.append((y2 - y1) / 2 / frame[1])
        inside = (min(x2, frame[0]) - max(x1, 0)) * (min(y2, frame[1]) - max(y1, 0))
        assert inside > 0.5 * (x2 - x1) * (y2 - y1)
    tallest = min(0.4, 0.2 * frame[0] / frame[1] * 80 / 60)  # not wider than 40 % of the frame
    assert 0.1 < min(halves) < 0.9 * tallest < max(halves) < 1.1 * tallest


def test_drawn_shapes_are_scaled_with_the_frame():
    small, large = (simulate(2, seconds=0.2, room=False, frame=frame) for frame in (FRAME, (480, 240)))
    assert large.frames.shape[1:] == (240, 480, 3)
    for one, other in zip(small.sources, large.sources, strict=True):
        assert np.allclose(2 * one.boxes, other.boxes)


def test_a_photograph_is_cropped_to_the_frame_without_distortion(tmp_path):
    y, x = np.mgrid[:400, :600]
    rings = (128 + 100 * np.sin(np.hypot(x - 300, y - 200) / 8)).astype(np.uint8)
    put(tmp_path / "rings.png", np.dstack([rings] * 3))
    crops = [
        np.asarray(random_crop_of(np.random.default_rng(k), tmp_path / "rings.png", FRAME)) for k in range(6)
    ]
    assert {crop.shape for crop in crops} == {(120, 240, 3)}
    assert min(np.abs(a.astype(int) - b).mean() for k, a in enumerate(crops) for b in crops[:k]) > 20
    for crop in crops:  # of rings, gradients across and down are as steep
        down, across = np.gradient(crop[..., 0].astype(float))
        assert 0.3 < np.std(down) / np.std(across) < 3


# --- when it is heard -------------------------------------------------------------------------------------


def grey_pictures(count=60):
    """Pictures whose brightness tells their number."""
    return [Image.fromarray(disc((20 + 3 * k,) * 3)) for k in range(count)]


@pytest.mark.parametrize(
    ("suffix", "seconds", "speed"),
    [("png", 3.0, 1.0), ("webp", 3.0, 1.0), ("gif", 3.0, 1.0), ("webp", 7.7, 1.0), ("png", 3.0, 1.4)],
)
def test_an_animation_is_in_time_with_its_own_sound(tmp_path, suffix, seconds, speed):
    """Where the excerpt starts is heard in the scene; repeated sounds show repeated pictures."""
    put(tmp_path / "sounds/person/talk.wav", hiss(seconds))
    first, *others = grey_pictures()
    path = tmp_path / f"cutouts/person/talk.{suffix}"
    path.parent.mkdir(parents=True)
    exact = {"lossless": True} if suffix == "webp" else {"disposal": 2} if suffix == "gif" else {}
    first.save(
        path, save_all=True, append_images=others, duration=round(1000 * seconds / 60), loop=0, **exact
    )
    cfg = configure(tmp_path, "x", backgrounds=None)
    material, files = material_of(cfg), recordings(tmp_path / "sounds")
    assert material.animated == (path,)
    scene = simulate(
        5,
        seconds=4.0,
        sources=(1, 1),
        room=False,
        files=files,
        material=material,
        fps=25,
        speeds=(speed, speed),
    )
    heard = scene.binaural.mean(0)
    rate = SPEED_STEP * round(RATE / SPEED_STEP / speed)
    speed, whole = RATE / rate, read_wav(files[0], rate)[0][0]
    size = 2 * max(len(heard), len(whole))
    repeated = np.tile(whole, 5)[:size]
    cross = np.fft.irfft(np.fft.rfft(repeated, 2 * size) * np.fft.rfft(heard, 2 * size).conj())
    start = cross[: len(whole)].argmax() / RATE
    shown = []
    for picture, box in zip(scene.frames, scene.sources[0].boxes, strict=True):
        x, y = np.clip((box[:2] + box[2:]) / 2, 0, np.array(FRAME) - 1).astype(int)
        shown.append((picture[y, x].mean() - 20) / 3)
    expected = speed * (start + np.arange(100) / 25) % seconds / seconds * 60
    late = np.abs((np.array(shown) - expected + 30) % 60 - 30)
    assert np.quantile(late, 0.95) < 1.7
    assert scene.sources[0].cutout == f"person/talk.{suffix}"


def test_an_animation_without_its_sound_plays_as_a_bystander_only(tmp_path):
    put(tmp_path / "sounds/person/other.wav", hiss(2))
    first, *others = grey_pictures(20)
    (tmp_path / "cutouts/person").mkdir(parents=True)
    first.save(tmp_path / "cutouts/person/talk.png", save_all=True, append_images=others, duration=50)
    put(tmp_path / "cutouts/person/still.png", disc((200, 0, 0)))
    material = material_of(configure(tmp_path, "x", backgrounds=None))
    given_files = {"files": recordings(tmp_path / "sounds"), "material": material, "room": False}
    bystanders = set()
    for seed in range(10):
        scene = simulate(seed, seconds=0.5, sources=(1, 1), bystanders=(1, 1), **given_files)
        assert scene.sources[0].cutout == "person/still.png"
        bystanders.add((scene.bystanders[0].cutout, scene.bystanders[0].moves))
    assert bystanders == {("person/talk.png", True)}, "the still is taken already"


def test_without_motion_animations_stand_still(tmp_path):
    put(tmp_path / "sounds/person/talk.wav", hiss(1))
    first, *others = grey_pictures(20)
    (tmp_path / "cutouts/person").mkdir(parents=True)
    first.save(tmp_path / "cutouts/person/talk.png", save_all=True, append_images=others, duration=50)
    material = material_of(configure(tmp_path, "x", backgrounds=None))
    given_files = {"files": recordings(tmp_path / "sounds"), "material": material, "room": False}
    for motion in (True, False):
        scene = simulate(3, seconds=1.0, sources=(1, 1), motion=motion, **given_files)
        middles = ((scene.sources[0].boxes[:, :2] + scene.sources[0].boxes[:, 2:]) / 2).astype(int)
        seen = [
            frame[min(y, 119), min(x, 239), 0] for frame, (x, y) in zip(scene.frames, middles, strict=True)
        ]
        assert (np.ptp(np.array(seen, int)) > 20) == motion


# --- hostile files ----------------------------------------------------------------------------------------


def declared(width, height):
    """A PNG that states a size and holds nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


HOSTILE = {
    "text.png": b"I am no picture",
    "empty.webp": b"",
    "tiny.png": np.zeros((1, 1, 4), np.uint8),
    "huge.png": declared(20_000, 20_000),
    "large.png": declared(8_000, 8_000),
    "invisible.png": np.zeros((40, 40, 4), np.uint8),
    "truncated.png": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_picture_is_refused_by_name(world, tmp_path, name):
    put(tmp_path / "sounds/dog/dog.wav", hiss(1))
    content = HOSTILE[name]
    if content is None:
        whole = Path(world / "cutouts/dog/one.png").read_bytes()
        content = whole[: len(whole) // 2]
    put(tmp_path / "cutouts/dog" / name, content)
    with pytest.raises(ValueError, match=name) as refused:
        simulate_dataset.main(configure(tmp_path, tmp_path / "out", clips=3, backgrounds=None))
    assert "\n" not in str(refused.value)


def test_mistakes_end_as_one_line(world, tmp_path):
    (tmp_path / "empty").mkdir()
    script = [sys.executable, simulate_dataset.__file__, "--out", tmp_path / "out", "--workers", "1"]
    done = subprocess.run([*script, "--backgrounds", tmp_path / "empty"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "empty") in done.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--cutouts", "x"], "--audio_dir"),
        (["--frame_size", "481x270"], "--frame_size"),
        (["--frame_size", "0x0"], "--frame_size"),
        (["--frame_size", "100000x100000"], "--frame_size"),
        (["--varied_fraction", "1.5"], "--varied_fraction"),
        (["--box_noise", "nan"], "--box_noise"),
        (["--audio_speed", "0.1..1"], "--audio_speed"),
        (["--audio_speed", "1..nan"], "--audio_speed"),
        (["--audio_speed", "0.8..1.2"], "--audio_dir"),
        (["--layout", "fairplay", "--box_noise", "0.5"], "FAIR-Play"),
        (["--layout", "fairplay", "--frame_size", "480x270"], "FAIR-Play"),
    ],
)
def test_impossible_looks_are_refused(words, named):
    with pytest.raises(ValueError, match=named) as refused:
        parse(SimulateConfig, argv=["--out", "x", *words])
    assert "\n" not in str(refused.value)


def test_pictures_without_a_class_or_of_other_classes_are_refused(world, tmp_path):
    put(tmp_path / "cutouts/loose.png", disc((9, 9, 9)))
    with pytest.raises(ValueError, match=r"loose\.png"):
        material_of(configure(world, "x", cutouts=str(tmp_path / "cutouts")))
    put(tmp_path / "others/train/one.png", disc((9, 9, 9)))
    with pytest.raises(ValueError, match="train"):
        material_of(configure(world, "x", cutouts=str(tmp_path / "others")))


def test_an_opaque_photograph_fades_towards_its_edges(tmp_path):
    put(tmp_path / "photo.jpg", np.full((200, 100, 3), 250, np.uint8))
    alpha = still_cutout(tmp_path / "photo.jpg", FRAME)[0, ..., 3].astype(int)
    assert alpha[len(alpha) // 2, alpha.shape[1] // 2] == 255
    assert max(alpha[0].max(), alpha[:, 0].max(), alpha[-1].max(), alpha[:, -1].max()) < 64
    assert (np.diff(alpha[len(alpha) // 2, : alpha.shape[1] // 2]) >= 0).all()
