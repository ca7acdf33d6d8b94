"""The page's server in this process, with short videos for it."""

import contextlib
import http.client
import json
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "talking.mp4"
LONGEST = 12.0  # seconds that the tests' page takes


class Client:
    """Requests to a server on this machine."""

    def __init__(self, port: int):
        self.port = port

    def ask(self, method: str, path: str, body=None, **headers) -> tuple[int, bytes]:
        """-> status, content"""
        link = http.client.HTTPConnection("localhost", self.port, timeout=120)
        with contextlib.closing(link):
            link.request(method, f"/{path}", body, headers)
            answer = link.getresponse()
            return answer.status, answer.read()

    def get(self, path: str):
        """The JSON of an answer that succeeds."""
        status, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path: str, content=None):
        """The same of a JSON that is sent."""
        status, got = self.ask("POST", path, json.dumps(content) if content is not None else None)
        assert status < 300, got
        return json.loads(got or b"{}")

    def upload(self, path: Path, name: str | None = None, where: str = "sessions") -> tuple[int, dict]:
        """-> status, answer"""
        status, got = self.ask("POST", f"api/{where}?name={quote(name or path.name)}", path.read_bytes())
        return status, json.loads(got)

    def done(self, id: str, seconds: float = 180) -> dict:
        """The state of a video once nothing is being done for it."""
        end, have = time.monotonic() + seconds, 0
        while (state := self.get(f"api/sessions/{id}?have={have}"))["busy"]:
            assert time.monotonic() < end, state
            have = state["version"]
            time.sleep(0.05)
        return self.get(f"api/sessions/{id}")

    def render(self, id: str, **wanted) -> dict:
        """What is made of a wish."""
        self.post(f"api/sessions/{id}/wanted", wanted)
        state = self.done(id)
        assert not state["error"], state["error"]
        return state["made"]

    def take(self, id: str, what: str) -> bytes:
        """A file that a visitor takes home."""
        status, content = self.ask("GET", f"api/sessions/{id}/take/{what}")
        assert status == 200, content
        return content


@pytest.fixture(scope="session")
def served():
    """-> a Client of a page that shows the example, its Sessions"""
    pytest.importorskip("starlette")
    uvicorn = pytest.importorskip("uvicorn")
    from BinauralApp.config import AppConfig
    from BinauralApp.running import listener_of
    from BinauralApp.server import make_app

    cfg = AppConfig(port=0, longest=LONGEST, largest=5, open=False)
    app = make_app(cfg)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    with listener_of(cfg) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        client = Client(listener.getsockname()[1])
        try:
            client.get("api/limits")  # once it answers, the example is in the line
            yield client, app.state.sessions
        finally:
            server.should_exit = True
            thread.join(60)
    assert not app.state.sessions.root.exists()


@pytest.fixture
def page(served):
    return served[0]


@pytest.fixture
def sessions(served):
    return served[1]


@pytest.fixture
def example(page):
    """The id of the example, as a video of this test's visitor, made."""
    id = page.post("api/example")["id"]
    assert page.done(id)["made"]
    yield id
    page.ask("POST", f"api/sessions/{id}/close")


@pytest.fixture
def film(tmp_path):
    """A function that writes a small video: see write_film."""

    def write(name: str, seconds: float, **how) -> Path:
        return write_film(tmp_path / name, seconds, **how)

    return write


def write_film(path: Path, seconds: float, *, sound: bool = True, channels: int = 1) -> Path:
    """A small video of noise whose sound is noise, in two channels from one side."""
    from DiffBinaural.utils.media_writing import write_video

    random = np.random.default_rng(0)
    pictures = (random.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(round(5 * seconds)))
    wav = (0.1 * random.standard_normal((1, round(16_000 * seconds)))).astype(np.float32)
    wav = np.concatenate([wav, 0.3 * wav][:channels])
    write_video(path, pictures, 5, wav, 16_000)
    return path if sound else without_sound(path)


def without_sound(path: Path) -> Path:
    """The same video, its picture alone."""
    import av

    silent = path.with_name(f"silent_{path.name}")
    with av.open(str(path)) as source, av.open(str(silent), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return silent
