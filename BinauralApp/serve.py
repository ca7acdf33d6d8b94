"""The page: drop a video, hear it.  Nothing leaves this machine.

python BinauralApp/serve.py
"""

from BinauralApp.config import AppConfig
from BinauralApp.running import serve
from DiffBinaural.utils.arguments import run


def main(cfg: AppConfig) -> None:
    """Serve the page until Ctrl-C."""
    serve(cfg)


if __name__ == "__main__":
    run(main)
