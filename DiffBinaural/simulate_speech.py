"""Synthetic speech for scenes, by espeak-ng:  python DiffBinaural/simulate_speech.py --out data/speech"""

from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from DiffBinaural.simulation.config import SpeechConfig
from DiffBinaural.simulation.signals import at_unit_level
from DiffBinaural.simulation.speech import ESPEAK_RATE, draw_utterance, synthesise
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import write_wav


def make(number: int, cfg: SpeechConfig) -> None:
    """Say two sentences, by a voice of their own; what is there is not said again."""
    path = Path(cfg.out) / f"vowel_speech_{number:05d}.wav"  # which looks like a singing face
    if not path.exists():
        sound = at_unit_level(synthesise(draw_utterance(np.random.default_rng([cfg.seed, number]))))
        write_wav(path, 0.9 * (sound / np.abs(sound).max())[None], ESPEAK_RATE)


def main(cfg: SpeechConfig) -> None:
    """A process for each file, for the library remembers what it has said before."""
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        made = pool.imap(partial(make, cfg=cfg), range(cfg.clips), chunksize=1)
        list(tqdm(made, total=cfg.clips, desc="speaking", unit="file"))


if __name__ == "__main__":
    run(main)
