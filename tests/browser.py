"""A headless Chromium, controlled over two pipes with the DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
CODES = {
    " ": "Space",
    "ArrowLeft": "ArrowLeft",
    "ArrowRight": "ArrowRight",
    "ArrowUp": "ArrowUp",
    "ArrowDown": "ArrowDown",
    "Home": "Home",
}


class Page:
    """One page in its own browser process."""

    def __init__(self, url: str, profile: Path, width: int = 1280, height: int = 800):
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()
        # The browser reads from its descriptor 3 and writes to 4.
        words = [
            "bash",
            "-c",
            f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}',
            "bash",
            FOUND,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--mute-audio",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self.process = subprocess.Popen(
            words, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.numbers, self.read, self.events, self.session = itertools.count(1), b"", [], None
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")
        self.size(width, height)
        self.tell("Page.navigate", url=url)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self.to)
        self.process.terminate()
        self.process.wait(20)
        os.close(self.back)

    def tell(self, method: str, **params):
        """Send a command and return its result; events that arrive meanwhile are kept in `events`."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self.answer()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def answer(self) -> dict:
        while b"\0" not in self.read:
            more = os.read(self.back, 1 << 20)
            assert more, "the browser ended"
            self.read += more
        message, self.read = self.read.split(b"\0", 1)
        return json.loads(message)

    def get(self, expression: str):
        """The value of a JavaScript expression."""
        result = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, expression: str, seconds: float = 30):
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while not (value := self.get(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        code = CODES.get(key, f"Digit{key}" if key.isdigit() else f"Key{key.upper()}")
        virtual = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36}.get(
            key, ord(key[0].upper())
        )
        for kind, more in (("keyDown", text), ("keyUp", {})):
            self.tell(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=virtual, **more
            )

    def click(self, selector: str, across: float = 0.5) -> None:
        """Click an element with the left button, at this fraction of its width."""
        box = self.get(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: "center"}}); const b = e.getBoundingClientRect();
            return [b.left + b.width * {across}, b.top + b.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def size(self, width: int, height: int) -> None:
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        """Set the preferred colour scheme: light or dark."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        picture = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(picture))
