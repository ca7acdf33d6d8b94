"""`make demo`: its real clip, what it makes of it, the page that shows it."""

import hashlib
import importlib
import re
import shlex
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from DiffBinaural.dataset.trajectories import read_trajectory
from DiffBinaural.experiments.cues import cues_by_second
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.media import read_sound

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def recipe():
    make = ["make", "-n", "-o", ".venv/installed", "demo"]
    shown = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line) for line in shown.replace("\\\n", " ").splitlines()]


def test_the_clip_is_the_one_that_its_note_describes():
    note = (EXAMPLES / "SOURCES.txt").read_text()
    assert (
        re.search(r"SHA-256\s+(\w+)", note)[1]
        == hashlib.sha256((EXAMPLES / "talking.mp4").read_bytes()).hexdigest()
    )
    for path in EXAMPLES.iterdir():
        assert path.name in note or path.name in ("SOURCES.txt", "page.html")


def test_the_demo_begins_with_the_clip_and_takes_the_man_who_speaks(tmp_path, monkeypatch, scripts):
    words = next(line for line in recipe() if "BigVGAN/inference_e2e.py" in line)
    assert words[words.index("--input_video") + 1] == "examples/talking.mp4"
    assert "--detections" not in words, "the default, auto"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    scripts("BigVGAN.inference_e2e", *words[2:])

    paths = defaultdict(list)
    for point in read_trajectory("demo/talking.csv"):
        paths[point.track].append((point.azimuth, point.sounding))
    assert len(paths) == 2
    means = {track: np.mean(values, axis=0) for track, values in paths.items()}
    listener, speaker = sorted(means.values(), key=lambda mean: mean[1])
    (told,) = read_trajectory(EXAMPLES / "speaker.csv")
    assert speaker[0] == pytest.approx(told.azimuth, abs=2)
    assert speaker[1] > 0.5 > listener[1]
    assert listener[0] < -10

    made, rate = read_wav("demo/talking.wav", channels=2)
    for values in cues_by_second(made, rate).values():
        assert sum(value is not None and value > 0 for value in values) >= 7, "to the right, where he stands"
    muxed, _ = read_sound("demo/talking.mp4")
    assert muxed.shape[0] == 2
    assert Path("demo/talking.png").stat().st_size > 10_000


def test_the_page_leads_to_what_the_demo_makes():
    lines = recipe()
    text = (EXAMPLES / "page.html").read_text()
    made = {Path(word).name for line in lines for word in line if word.startswith("demo/")}
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert ["cp", "examples/page.html", "demo"] in lines
    assert len(links) >= 6
    for link in links:
        assert (ROOT / "demo" / link).resolve().is_file() if link.startswith("..") else link in made, link
    assert not re.search(r"https?://", text), "nothing is fetched"


def test_simulated_scenes_are_the_second_half():
    scripts = [line[1] for line in recipe() if line[0].endswith("python")]
    assert scripts.index("BigVGAN/inference_e2e.py") < scripts.index("DiffBinaural/simulate_dataset.py")
    assert "DiffBinaural/evaluate_binaural_22050.py" in scripts
    for script in set(scripts):
        assert importlib.util.find_spec(script.removesuffix(".py").replace("/", "."))
