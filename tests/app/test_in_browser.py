"""The page in use, where there is a Chromium."""

import base64
import io
import json

import browser
import numpy as np
import pytest
import soundfile
from head_shadow import shade
from PIL import Image

READY = "document.querySelector('#player')?.getAttribute('aria-busy') === 'false'"
SLIDER = "document.querySelector('#at')"
AT = f"Number({SLIDER}.value)"
PLAYING = "document.querySelector('#play').getAttribute('aria-pressed') === 'true'"
CHOSEN = "document.querySelector('#chips [aria-pressed=true]').dataset.name"
ERROR = "document.querySelector('#error').hidden ? '' : document.querySelector('#sentence').textContent"
COMMAND = "document.querySelector('#command').textContent"
EDGE = 8  # pixels by which a picture of the page is shifted: it is taken without the scroll bar
BUDGET = 3.0  # seconds from the end of a drag until it can be heard, ten seconds of video, on an idle machine
BUSY = 10  # times as long on one where much else runs: what the work takes is asserted in test_server.py


@pytest.fixture
def opened(page, example, tmp_path):
    if not browser.FOUND:
        pytest.skip(f"no Chromium here (none of {', '.join(browser.NAMES)}); the page is not tested")
    with browser.Page(f"http://localhost:{page.port}/", tmp_path / "profile") as shown:
        shown.until(READY, 120)
        yield shown
        assert not [e for e in shown.events if e.get("method") == "Runtime.exceptionThrown"], shown.events
        asked = [
            e["params"]["request"]["url"]
            for e in shown.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        here = (f"http://localhost:{page.port}/", f"blob:http://localhost:{page.port}/", "data:")
        assert [url for url in asked if not url.startswith(here)] == []


def picture(opened, selector):
    """An element as it is shown, (H, W, 3) uint8."""
    box = opened.get(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
        e.scrollIntoView({{block: "center"}}); const b = e.getBoundingClientRect();
        return [b.left + scrollX, b.top + scrollY, b.width, b.height]; }})()""")
    clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
    shot = opened.tell("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")).astype(int)


def drop(opened, *paths):
    """Choose a file, as if it were dropped."""
    node = opened.tell("Runtime.evaluate", expression="document.querySelector('#pick')")["result"]["objectId"]
    opened.tell("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=node)


def drag(opened, track, azimuth):
    """Take a source of the view from above by the pointer, and put it down elsewhere on the circle."""
    x, y, cx, cy, radius = opened.get(f"""(() => {{
        const picture = document.querySelector('#plan svg'); picture.scrollIntoView({{block: "center"}});
        const p = picture.getBoundingClientRect();
        const s = document.querySelector('#plan [data-track="{track}"] .dot').getBoundingClientRect();
        const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];
        return [...middle(s), ...middle(p), 0.3 * p.width];
    }})()""")
    turn = np.radians(azimuth)
    to = cx + radius * np.sin(turn), cy - radius * np.cos(turn)
    steps = [
        ("mousePressed", x, y),
        ("mouseMoved", (x + to[0]) / 2, (y + to[1]) / 2),
        ("mouseMoved", *to),
        ("mouseReleased", *to),
    ]
    for kind, px, py in steps:
        opened.tell("Input.dispatchMouseEvent", type=kind, x=px, y=py, button="left", buttons=1, clickCount=1)


def test_boxes_are_drawn_on_the_film(opened, page, example):
    opened.get(f"{SLIDER}.value = 2, {SLIDER}.dispatchEvent(new Event('input'))")
    opened.until(
        "document.querySelector('#film').readyState >= 2 && !document.querySelector('#film').seeking"
    )
    opened.until("document.querySelector('#boxes').width > 0")
    with_boxes = picture(opened, ".screen")
    opened.get("document.querySelector('#boxes').hidden = true")
    without = picture(opened, ".screen")
    changed = (np.abs(with_boxes - without).sum(2) > 60).any(0)
    assert changed.mean() > 0.15
    high, wide = without.shape[:2]
    film = min(wide, high * 320 / 240)  # width of the picture between its black edges
    for track in page.get(f"api/sessions/{example}")["made"]["tracks"]:
        box = next(box for box in track["boxes"] if box[0] == 2.0)
        x1, x2 = (round((wide - film) / 2 + film * box[k]) for k in (1, 3))
        assert changed[x1 + EDGE : x2 - EDGE].mean() > 0.9
        assert without[:, x1].std() > 10  # and a film is seen below them


def test_keys_switch_at_the_same_moment(opened):
    opened.press(" ")
    opened.until(f"{PLAYING} && {AT} > 0.2")
    before = opened.get(AT)
    for key, name in (("1", "mono"), ("2", "made"), ("3", "made"), ("1", "mono")):
        opened.press(key)
        assert opened.get(CHOSEN) == name
    after = opened.until(f"{AT} > {before} && {AT}")
    assert after < before + 2.5
    levels = """import('./sound.js').then(({sound}) => Object.fromEntries(Object.entries(sound.gains)
        .map(([n, g]) => [n, Math.round(10 * g.gain.value / sound.levels[n])])))"""
    opened.until(f"{levels}.then((l) => JSON.stringify(l) === JSON.stringify({{mono: 10, made: 0}}))")
    lengths = "import('./sound.js').then(({sound}) => Object.values(sound.buffers).map((b) => b.length))"
    assert len(set(opened.get(lengths))) == 1  # they were started at once, so all are at the same sample
    film = opened.until("document.querySelector('#film').currentTime")
    assert abs(film - opened.get(AT)) < 0.5
    opened.press(" ")
    opened.until(f"!({PLAYING})")


def test_a_drag_is_heard_and_taken_home(opened, page):
    first = opened.get(COMMAND)
    version = "document.querySelector('#left').src.match(/left-(\\d+)/)[1]"
    before = opened.get(version)
    began = opened.get("performance.now()")
    drag(opened, "person 1", -70)
    opened.until(f"{version} !== '{before}'", BUDGET * BUSY)
    took = (opened.get("performance.now()") - began) / 1000
    print(f"a drag is heard after {took:.1f} s")
    shown = float(
        opened.get("document.querySelector('#plan [data-track=\"person 1\"]').getAttribute('aria-valuenow')")
    )
    assert shown == pytest.approx(-70, abs=2)
    assert "70° left" in opened.get("document.querySelector('#tracks').innerText").replace(
        "69°", "70°"
    ).replace("71°", "70°")
    command = opened.get(COMMAND)
    assert "--trajectory_in talking_directions.csv" in command
    assert command != first
    path = opened.get("document.querySelector('#take-wav').getAttribute('href')")
    assert shade(page.ask("GET", path)[1]) < -3
    opened.click("#undo")
    opened.until(f"{COMMAND} === {json.dumps(first)}", 60)


def test_the_keyboard_drags_too(opened):
    focus = "document.querySelector('#plan [data-track=\"person 2\"]').focus()"
    value = "Number(document.querySelector('#plan [data-track=\"person 2\"]').getAttribute('aria-valuenow'))"
    before, position = opened.get(value), opened.get(AT)
    opened.get(focus)
    for _ in range(3):
        opened.press("ArrowLeft")
    opened.until(f"{COMMAND}.includes('--trajectory_in')", 60)
    assert opened.get(value) == pytest.approx(before - 15, abs=2)
    assert opened.get(AT) == position


def test_an_upload_goes_through_its_phases(opened, film):
    seen = "(window.phases ??= new Set())"
    opened.get(f"""(() => {{
        const phase = document.querySelector('#phase');
        new MutationObserver(() => {seen}.add(phase.textContent)).observe(phase, {{childList: true}});
    }})()""")
    drop(opened, film("mine.mp4", 3, channels=2))
    opened.until("document.querySelector('#name').textContent === 'mine.mp4'", 120)
    phases = " ".join(opened.get(f"[...{seen}]"))
    assert "uploading mine.mp4" in phases
    assert opened.get("document.querySelectorAll('#chips button').length") == 3
    opened.press("3")
    assert opened.get(CHOSEN) == "own"
    assert opened.get("document.querySelector('#working').hidden")


def test_an_error_is_one_sentence_and_nothing_is_lost(opened, film, tmp_path):
    name = opened.get("document.querySelector('#name').textContent")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 4000)
    for path, word in (
        (broken, "save it anew"),
        (film("long.mp4", 14), "diffbinaural --input_video long.mp4"),
    ):
        drop(opened, path)
        opened.until(f"({ERROR}).includes({json.dumps(word)})", 60)
        assert opened.get("document.querySelector('#name').textContent") == name
        assert opened.get(READY)
    drop(opened, film("mute.mp4", 2, sound=False))
    opened.until(f"({ERROR}).includes('has no sound')", 60)
    wav = tmp_path / "voice.wav"
    soundfile.write(wav, 0.1 * np.ones(32_000), 16_000)
    drop(opened, wav)
    opened.until("document.querySelector('#name').textContent === 'silent_mute.mp4'", 120)
    assert opened.get(ERROR) == ""


def test_headphones_can_be_checked_first(opened):
    opened.until("fetch('api/voices/left').then((a) => a.ok)", 60)
    for side in ("left", "right", "behind"):
        opened.click(f"#check [data-voice={side}]")
    opened.until("import('./sound.js').then(({sound}) => sound.single?.buffer.duration > 2)")
    opened.click("#checked")
    assert opened.get("document.querySelector('#check').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_window(opened, width, scheme):
    opened.scheme(scheme)
    opened.size(width, 900)
    assert opened.get("document.documentElement.scrollWidth") <= width
    ground = opened.get("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(","))) > 384) == (
        scheme == "light"
    )
