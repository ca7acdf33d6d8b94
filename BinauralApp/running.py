"""The page on a port, until it is ended."""

import contextlib
import socket
import threading
import webbrowser

import uvicorn

from BinauralApp.config import AppConfig
from BinauralApp.server import make_app


def listener_of(cfg: AppConfig) -> socket.socket:
    """The port that the page listens on.  Raises ValueError where it is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in cfg.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((cfg.host, cfg.port))
        listener.listen()  # who comes before the page is ready waits
    except OSError as error:
        raise ValueError(f"--port {cfg.port} on {cfg.host}: {error.strerror}; give another") from None
    return listener


def serve(cfg: AppConfig) -> None:
    """Serve the page until Ctrl-C or SIGTERM; then everything that was uploaded is deleted."""
    with listener_of(cfg) as listener:
        address = f"http://{'localhost' if cfg.alone else cfg.host}:{listener.getsockname()[1]}"
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if cfg.open and cfg.alone:
            threading.Timer(1.0, webbrowser.open, [address]).start()
        settings = uvicorn.Config(make_app(cfg), log_level="warning", timeout_graceful_shutdown=2)
        with contextlib.suppress(KeyboardInterrupt):  # its usual end
            uvicorn.Server(settings).run(sockets=[listener])
