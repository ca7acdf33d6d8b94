"""The page as hosts of demos start it: `python app.py`, all interfaces, the port that the host names."""

import os

from BinauralApp.config import AppConfig
from BinauralApp.running import serve

if __name__ == "__main__":
    serve(AppConfig(host="0.0.0.0", port=int(os.environ.get("PORT", 7860)), open=False))  # noqa: S104
