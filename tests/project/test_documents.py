"""The documents: commands run in their own order, links lead somewhere, the map is complete."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from DiffBinaural.utils.audio import read_wav, write_wav

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "DiffBinaural", "BigVGAN", "weights", "docs")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))]
NOT_RUN = ("make", "pip", "tensorboard", "python -m")
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


def commands(page, *sections):
    """Commands of a page's bash blocks, below these headings or all of them."""
    text = (ROOT / page).read_text()
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    chosen = {
        title: body for title, body in zip(parts[1::2], parts[2::2]) if not sections or title in sections
    }
    assert chosen.keys() >= set(sections)
    for block in re.findall(r"```bash\n(.*?)```", "".join(chosen.values()), re.S):
        yield from (line for line in block.splitlines() if line.strip() and not line.startswith("#"))


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


def run_all(scripts, lines):
    ran = 0
    for line in lines:
        if line.startswith(NOT_RUN):
            continue
        python, script, *words = shlex.split(line)
        assert python == "python", line
        if "--start" in words:  # the clip is shorter than the document's
            words += ["--start", "0"]
        scripts(script.removesuffix(".py").replace("/", "."), *words, *shlex.split(TINY[script]))
        ran += 1
    return ran


def test_quickstart(folder, scripts):
    assert run_all(scripts, commands("QUICKSTART.md")) == 20
    assert sorted(path.name for path in folder.glob("out.*")) == ["out.mkv", "out.mp4", "out.png", "out.wav"]
    assert (folder / "generated/wavs/first.wav").exists()
    assert len(list((folder / "generated/films").iterdir())) == 2
    assert list((folder / "generated/few").glob("*.png"))


def test_readme(folder, scripts):
    assert run_all(scripts, commands("README.md", "Your own data, step by step")) == 9
    assert run_all(scripts, commands("BigVGAN/README.md", "The phase between the ears")) == 2
    made, rate = read_wav(folder / "out.wav")
    assert (made.shape, rate) == ((2, 11_025), 22_050)
    assert len(list((folder / "generated/wavs").glob("*.wav"))) == 1


def test_readmes_python(folder):
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    mono, rate = read_wav("mono.wav")
    write_wav("mono.wav", mono[:, : rate // 2], rate)
    variables = {}
    exec(code, variables)  # noqa: S102
    made, _ = read_wav("out.wav")
    assert np.abs(variables["binaural"] - made).max() < 1 / 32_768
    assert (folder / "out.mp4").exists()


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
