"""Weights that are checked before any of their bytes reaches a reader."""

import hashlib
from pathlib import Path

import numpy as np


def verified_bytes(path: str | Path, sha256: str, cure: str) -> np.ndarray:
    """Content of a file as (N,) uint8, for the readers of cv2.dnn: what is loaded is what was checked.

    sha256  expected, or its first digits
    cure    what to do where the file is missing or different
    Raises FileNotFoundError where there is no such file, ValueError where its hash is another.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; {cure}") from None
    found = hashlib.sha256(content).hexdigest()
    if not found.startswith(sha256):
        raise ValueError(f"{path}: damaged or tampered with: SHA-256 is {found}; expected {sha256}; {cure}")
    return np.frombuffer(content, np.uint8)
