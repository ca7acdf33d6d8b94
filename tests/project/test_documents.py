"""The documents: commands run in their own order, links lead somewhere, the map is complete."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from DiffBinaural.utils.audio import read_wav, write_wav

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "DiffBinaural", "BigVGAN", "weights", "docs")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))]
# what a document installs is installed by tests/project/test_package.py; `make demo` runs in test_demo.py
INSTALLS = ("pip install", "make demo")
STAGE_1 = "--preset tiny --num_epoch 1 --windows_per_clip 1 --workers 0 --device cpu"
VOCODER = "--training_steps 2 --validation_interval 2 --checkpoint_interval 2 --device cpu"
CONVERT = "--sampling_timesteps 1 --device cpu"
# flags that keep a script short; the last of a repeated flag counts
TINY = {
    "DiffBinaural/simulate_dataset.py": "--clips 5 --seconds 1 --workers 1",
    "DiffBinaural/simulate_speech.py": "--clips 2",
    "DiffBinaural/prepare_recordings.py": "--workers 1",
    "DiffBinaural/check_dataset.py": "--workers 1",
    "DiffBinaural/check_ears.py": "",
    "DiffBinaural/train_realBinaural.py": STAGE_1,
    "DiffBinaural/test_realBinaural.py": CONVERT,
    "DiffBinaural/test_realBinaural_few.py": f"{CONVERT} --limit 1",
    "DiffBinaural/evaluate_binaural_22050.py": "--metrics stft ild_error",
    "BigVGAN/train_binaural_mel.py": VOCODER,
    "BigVGAN/train_binaural_both.py": VOCODER,
    "BigVGAN/inference_diffbinaural_mels.py": "--device cpu",
    "BigVGAN/inference_e2e.py": f"{CONVERT} --end 0.5",
}


def blocks(page, *sections):
    """(language, text) of a page's fenced blocks of bash and Python, below these headings or all of them."""
    text = (ROOT / page).read_text()
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    chosen = {
        title: body for title, body in zip(parts[1::2], parts[2::2]) if not sections or title in sections
    }
    assert chosen.keys() >= set(sections)
    assert "```bash" not in parts[0]
    return re.findall(r"^```(bash|python)\n(.*?)^```", "\n".join(chosen.values()), re.S | re.M)


@pytest.fixture
def folder(scenes, binaural_videos, tmp_path, monkeypatch):
    """A working directory with what a user would bring: sounds, videos, lists, a dataset, a small config."""
    monkeypatch.chdir(tmp_path)
    video, second = sorted((scenes / "videos").glob("*.mp4"))[:2]
    name, processed = video.stem, scenes / "processed"
    shutil.copytree(scenes, "data/real")
    shutil.copytree(binaural_videos, "binaural_videos")
    shutil.copytree(ROOT / "BigVGAN/configs", "BigVGAN/configs")
    shutil.copy(
        ROOT / "BigVGAN/configs/bigvgan_binaural_tiny.json",
        "BigVGAN/configs/bigvgan_binaural_22khz_80band_256x.json",
    )
    shutil.copy(processed / f"mono_audios_22050Hz/{name}.wav", "mono.wav")
    shutil.copytree(processed / "mono_audios_22050Hz", "recordings")
    shutil.copytree(processed / f"frames/{name}", "frames")
    shutil.copy(video, "clip.mp4")
    Path("videos").mkdir()
    for path in (video, second):
        shutil.copy(path, "videos")
    Path("pairs.csv").write_text("input_video,input_wav,output\nclip.mp4,mono.wav,first.wav\n")
    rows = (scenes / "action_detection_results/detection_results.csv").read_text().splitlines()
    Path("sources.csv").write_text(
        "\n".join([rows[0], *(row for row in rows if row.startswith(name))]) + "\n"
    )
    return tmp_path


class Reader:
    """Somebody who runs a page's blocks one after the other in the working directory.

    ran   scripts, in order
    left  lines that other tests stand for
    """

    def __init__(self, scripts):
        self.scripts, self.ran, self.left, self.variables = scripts, [], [], {}

    def follow(self, page, *sections):
        for language, text in blocks(page, *sections):
            if language == "python":
                exec(text, self.variables)  # noqa: S102
                continue
            for line in text.splitlines():
                if line.strip() and not line.startswith("#"):
                    self.run(line)
        return self

    def run(self, line):
        words = shlex.split(line)
        if line.startswith(INSTALLS) and "VIDEO=" not in line:
            self.left.append(line)
        elif words[0] == "make":
            for made in recipe(*words[1:]):
                if "demo/yours.wav" in made:
                    self.script(made[1:])
        elif words[0] == "tensorboard":
            shown = [sys.executable, "-m", "tensorboard.main", *words[1:], "--inspect"]
            told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
            assert "val/mel_rmse" in told
        elif words[1:3] == ["-m", "venv"]:
            here = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
            subprocess.run(["bash", "-c", f"{line} && which python"], env=here, check=True)
            assert Path(".venv/bin/python").exists()
        else:
            assert words[0] == "python", line
            self.script(words[1:])

    def script(self, words):
        script, *words = words
        if "--start" in words:  # the clip is shorter than the document's
            words += ["--start", "0"]
        name = script.removesuffix(".py").replace("/", ".")
        self.scripts(name, *words, *shlex.split(TINY[script]))
        self.ran.append(name)


def recipe(*words):
    """The commands of a make target, as make would run them."""
    make = ["make", "-n", "-o", ".venv/installed", *words]
    shown = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [shlex.split(line) for line in shown.replace("\\\n", " ").splitlines()]


@pytest.fixture
def reader(folder, scripts):
    return Reader(scripts)


def test_quickstart(folder, reader):
    reader.follow("QUICKSTART.md")
    assert len(reader.ran) == 20
    assert reader.left == ["make demo", "pip install -r requirements.txt"]
    assert sorted(path.name for path in folder.glob("out.*")) == ["out.mkv", "out.mp4", "out.png", "out.wav"]
    assert (folder / "generated/wavs/first.wav").exists()
    assert len(list((folder / "generated/films").iterdir())) == 2
    assert list((folder / "generated/few").glob("*.png"))


def test_readme(folder, reader):
    mono, rate = read_wav("mono.wav")
    write_wav("mono.wav", mono[:, : rate // 2], rate)
    reader.follow("README.md")
    assert len(reader.ran) == 11
    assert reader.left == ["pip install .", "make demo"]
    assert (folder / "demo/yours.png").exists()
    assert reader.variables["binaural"].shape == (2, 11_025)
    made, rate = read_wav(folder / "out.wav")
    assert (made.shape, rate) == ((2, 11_025), 22_050)
    assert len(list((folder / "generated/wavs").glob("*.wav"))) == 1
    reader.follow("BigVGAN/README.md", "The phase between the ears")
    assert len(reader.ran) == 13


def test_the_readmes_python_makes_what_its_command_makes(folder, reader):
    mono, rate = read_wav("mono.wav")
    write_wav("mono.wav", mono[:, : rate // 2], rate)
    [(_, code)] = [block for block in blocks("README.md") if block[0] == "python"]
    exec(code, reader.variables)  # noqa: S102
    made, _ = read_wav("out.wav")
    assert np.abs(reader.variables["binaural"] - made).max() < 1 / 32_768
    assert (folder / "out.mp4").exists()


def test_the_first_screen_of_the_readme_shows_and_tries():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 120
    first = "\n".join(lines[:40])
    places = [first.index(word) for word in ("](docs/", ".mp4)", "pip install .", "make demo")]
    assert places == sorted(places)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_map_names_every_file():
    page = (ROOT / "PROJECT_STRUCTURE.md").read_text()
    rooms = {
        tree: page.partition(f"\n{tree}/ ")[2].partition("\n\n")[0] for tree in ("DiffBinaural", "BigVGAN")
    }
    for tree, text in rooms.items():
        for path in (ROOT / tree).rglob("*.py"):
            if path.name != "__init__.py":
                assert re.search(rf"\b{re.escape(path.name)}\b", text), path
    for name in re.findall(r"`((?:DiffBinaural|BigVGAN|weights|tests)/[\w./]*)`", page):
        assert (ROOT / name).exists(), name
