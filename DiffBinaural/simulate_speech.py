"""Synthetic speech for scenes, by espeak-ng:  python DiffBinaural/simulate_speech.py --out data/speech"""

from functools import partial
from multiprocessing import get_context
from pathlib import Path

from DiffBinaural.simulation.config import SpeechConfig
from DiffBinaural.simulation.speech import write_utterance
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import ending
from DiffBinaural.utils.progress import Progress


def main(cfg: SpeechConfig) -> None:
    """Synthesise each file in a new process, because espeak-ng keeps state; existing files are kept."""
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        made = pool.imap(
            partial(write_utterance, folder=Path(cfg.out), seed=cfg.seed), range(cfg.clips), chunksize=1
        )
        list(Progress(made, total=cfg.clips, desc="speaking", unit="file"))
    script, words = "DiffBinaural/simulate_dataset.py", {"out": "data/sim", "audio_dir": cfg.out}
    print(ending(cfg.out, f"{cfg.clips} files of speech", script, **words))


if __name__ == "__main__":
    run(main)
