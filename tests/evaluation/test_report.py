"""The listening page: what is in the file and, where there is a Chromium, what it does in use."""

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import browser
import numpy as np
import pytest
import soundfile

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.report import embedded, evenly_spaced
from DiffBinaural.utils.audio import write_wav
from DiffBinaural.utils.plots import svg_path

ROOT = Path(__file__).parents[2]
RATE = MelConfig.sample_rate
HOSTILE = "<img src=x onerror=document.title='owned'>&\"{{CLIPS}}"
LEVELS = {"first": 0.1, HOSTILE: 0.3, "third": 0.2}
ORDER = "[...document.querySelectorAll('#list li')].map(e => e.dataset.id)"
AT = "Number(document.querySelector('#at').value)"
CHOSEN = "document.querySelector('#chips [aria-pressed=true]').dataset.system"
OPENED = "document.querySelector('#name').textContent"
READY = "document.querySelector('#player')?.getAttribute('aria-busy') === 'false'"
PLAYING = "document.querySelector('#play').getAttribute('aria-pressed') === 'true'"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three clips of two systems; the hiss in the model, and so its error, differs from clip to clip."""
    root = tmp_path_factory.mktemp("report")
    for k, (name, hiss) in enumerate(LEVELS.items()):
        random = np.random.default_rng(k)
        x = 0.1 * random.standard_normal(3 * RATE)
        true = np.stack([np.roll(x, 8) / 2, x])
        made = [true + hiss * scale * random.standard_normal(true.shape) for scale in (0.1, 0.3)]
        sounds = (true, *made, true.mean(0, keepdims=True))
        for folder, wav in zip(("truth", "model", "worse", "mono"), sounds, strict=True):
            write_wav(root / folder / f"{name}.wav", wav, RATE)
    words = [
        "--pred_dir",
        root / "model",
        "--pred_dir_b",
        f"worse={root / 'worse'}",
        "--gt_dir",
        root / "truth",
        "--mono_dir",
        root / "mono",
        "--report",
        root / "page.html",
        "--output_json",
        root / "all.json",
    ]
    script = ROOT / "DiffBinaural" / "evaluate_binaural_22050.py"
    done = subprocess.run([sys.executable, script, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"page.html: 3 of 3 clips, [\d.]+ MB \([\d.]+ MB a clip\)", done.stderr)
    return root / "page.html"


def blocks(page):
    marks = r'<script type="application/json" id="([\w-]+)">(.*?)</script>'
    found = re.findall(marks, page.read_text(), re.S)
    return {name: json.loads(content) for name, content in found}


def test_the_file_is_whole_in_itself_and_ids_stay_text(page):
    content = page.read_text()
    assert not re.search(r"""(src|href)=["']?https?:|@import|url\(http|fetch\(""", content)
    assert "<img src=x" not in content
    index = blocks(page)["index"]
    assert index["clips"] == sorted(LEVELS)
    assert list(index["systems"]) == ["model", "worse", "mono_copy", "swapped", "oracle_mono_phase"]
    assert index["paired"]["metrics"]["stft"]["better"] == "model"
    assert json.loads(embedded({"id": HOSTILE})) == {"id": HOSTILE}


def test_one_gain_holds_for_all_systems_of_a_clip(page):
    clips = list(blocks(page).values())[1:]
    for clip in clips:
        assert list(clip["sounds"]) == ["truth", "model", "worse", "mono_copy", "oracle_mono_phase"]
        assert clip["seconds"] == 3
        for folder in ("truth", "model", "worse"):
            played, rate = soundfile.read(io.BytesIO(base64.b64decode(clip["sounds"][folder]["flac"])))
            own, _ = soundfile.read(page.parent / folder / f"{clip['id']}.wav")
            assert rate == RATE
            assert np.abs(played - 10 ** (clip["gain"] / 20) * own).max() < 2 / 32768


def test_pictures_are_of_every_ear_and_curves_of_every_system(page):
    from PIL import Image

    for clip in list(blocks(page).values())[1:]:
        for name, sound in clip["sounds"].items():
            left, right = (Image.open(io.BytesIO(base64.b64decode(png))) for png in sound["mels"])
            assert left.size == right.size == (3 * RATE // 256, 80)
            assert (left.tobytes() == right.tobytes()) == (name == "mono_copy")
        assert [cue["title"][:3] for cue in clip["cues"]] == ["ITD", "ILD"]
        assert all(set(cue["paths"]) == set(clip["sounds"]) for cue in clip["cues"])


def test_a_curve_has_gaps_where_nothing_is_known():
    assert svg_path(np.arange(5), np.array([0, 1, np.nan, 2, np.nan])) == "M0 0h.01L1 1M3 2h.01"


def test_the_page_takes_clips_evenly():
    assert evenly_spaced(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert evenly_spaced(list("ab"), 50) == ["a", "b"]
    assert evenly_spaced(list("abc"), 1) == ["a"]


@pytest.fixture
def opened(page, tmp_path):
    if not browser.FOUND:
        pytest.skip(f"no Chromium here (none of {', '.join(browser.NAMES)}); the page is not tested")
    with browser.Page(page.as_uri(), tmp_path / "profile") as shown:
        shown.until(READY)
        yield shown
        assert not [e for e in shown.events if e.get("method") == "Runtime.exceptionThrown"], shown.events
        asked = [
            e["params"]["request"]["url"]
            for e in shown.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        assert [url[:40] for url in asked if not url.startswith(("data:", page.as_uri()))] == []


def test_it_plays_and_switches_at_the_same_moment(opened):
    opened.press(" ")
    opened.until(f"{PLAYING} && {AT} > 0.2")
    before = opened.get(AT)
    for key, system in (("2", "model"), ("1", "truth"), ("4", "mono_copy"), ("9", "mono_copy")):
        opened.press(key)
        assert opened.get(CHOSEN) == system
    opened.click('#chips [data-system="worse"]')
    assert opened.get(CHOSEN) == "worse"
    after = opened.until(f"{AT} > {before} && {AT}")
    assert after < before + 2.5  # it went on, from where it was
    assert opened.get(PLAYING)
    opened.press(" ")  # the page has the keyboard after a click
    opened.until(f"!({PLAYING})")
    held = opened.get(AT)
    opened.press("1")
    assert opened.get(AT) == held


def test_only_the_chosen_system_plays(opened):
    opened.press(" ")
    opened.press("3")
    levels = "Object.fromEntries(Object.entries(sound.gains).map(([n, g]) => [n, Math.round(g.gain.value)]))"
    opened.until(
        f"JSON.stringify({levels}) === JSON.stringify("
        "{truth: 0, model: 0, worse: 1, mono_copy: 0, oracle_mono_phase: 0})"
    )


def test_it_sorts_by_any_figure_and_either_way(opened):
    rows = json.loads((Path(opened.get("location.pathname")).parent / "all.json").read_text())["clips"]
    for name, system in (("stft", "model"), ("si_sdr", "worse"), ("itd_error", "mono_copy")):
        by = {row["id"]: row[name] for row in rows if row["system"] == system}
        for where, wanted in (("metric", name), ("system", system)):
            opened.get(f"$('{where}').value = '{wanted}', $('{where}').dispatchEvent(new Event('change'))")
        worst_first = sorted(by, key=by.get, reverse=name != "si_sdr")
        assert opened.get(ORDER) == worst_first
        opened.click("#order")
        assert opened.get(ORDER) == worst_first[::-1]
    opened.click("#table tr:nth-child(2) th button")
    assert opened.get("document.querySelector('#metric').value") == "env"


def test_the_keyboard_reaches_everything(opened):
    order, first = opened.get(ORDER), opened.get(OPENED)
    assert first == order[0] == HOSTILE  # the most hiss, so the worst
    opened.press("ArrowDown")
    opened.until(f"{READY} && {OPENED} === {json.dumps(order[1])}")
    opened.press("ArrowUp")
    opened.until(f"{READY} && {OPENED} === {json.dumps(first)}")
    opened.press("ArrowRight")
    opened.until(f"{AT} === 1")
    opened.press("ArrowRight")
    opened.press("ArrowLeft")
    opened.until(f"{AT} === 1")
    opened.press("Home")
    opened.until(f"{AT} === 0")
    opened.press("l")
    assert opened.get("document.querySelector('#loop').getAttribute('aria-pressed')") == "true"
    help_line = opened.get("document.querySelector('#help').innerText")
    assert all(word in help_line for word in ("Space", "1", "9", "←", "↑", "Home", "L"))
    opened.click('#mels [data-system="worse"] .plot', 0.5)
    opened.until(f"Math.abs({AT} - 1.5) < 0.1")
    assert opened.get(CHOSEN) == "worse"


def test_a_hostile_id_is_inert(opened):
    assert opened.get(OPENED) == HOSTILE
    assert opened.get("document.title") == "Listening page"
    assert opened.get("document.querySelectorAll('img[onerror], img[src=x]').length") == 0
    as_markup = "<img src=x onerror=\\'document.title=1\\'>"  # even so the page would not run it
    opened.get(f"document.body.insertAdjacentHTML('beforeend', '{as_markup}')")
    opened.get("new Promise(done => setTimeout(done, 300))")
    assert opened.get("document.title") == "Listening page"
    opened.events.clear()


@pytest.mark.parametrize("width", [1280, 800])
def test_it_fits_the_window(opened, width):
    opened.size(width, 900)
    assert opened.get("document.documentElement.scrollWidth") <= width
