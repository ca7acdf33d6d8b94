"""Fit what tells voices from other sounds (detection/voice.py); say how often it is right:

make corpus CORPUS=data/corpus && make corpus CORPUS=data/corpus_test PURPOSE=test
python DiffBinaural/experiments/fit_voice.py --corpus data/corpus --held_out data/corpus_test
"""

import numpy as np

from DiffBinaural.experiments.config import VoiceConfig
from DiffBinaural.experiments.voices import heard_windows, regression
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import replacing


def main(cfg: VoiceConfig) -> None:
    """Fit on one corpus, tell the rates on the other, write the coefficients."""
    made = regression(*heard_windows(cfg.corpus, np.random.default_rng(cfg.seed)))
    seen, voices = heard_windows(cfg.held_out)
    told = (seen - made["mean"]) / made["scale"] @ made["weights"] + made["bias"] > 0
    print(
        f"windows told rightly: {told[voices].mean():.1%} of {voices.sum()} voices, "
        f"{1 - told[~voices].mean():.1%} of {(~voices).sum()} others"
    )
    with replacing(cfg.output) as path, open(path, "wb") as file:
        np.savez(file, **{name: value.astype(np.float32) for name, value in made.items()})


if __name__ == "__main__":
    run(main)
