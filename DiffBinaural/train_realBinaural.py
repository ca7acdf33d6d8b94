"""Train stage 1 on videos with recorded or simulated binaural sound:

python DiffBinaural/train_realBinaural.py --id first --data_root data/real
"""

from functools import partial

from DiffBinaural.configs.advanced_diffusion_config import PRESETS, TrainConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.dataset_real_binaural_mix import RealBinauralMix
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.training import train
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.lists import EARS


def main(cfg: TrainConfig) -> None:
    """Train or resume the run <ckpt>/<id>."""
    windows = partial(RealBinauralMix, mix_sources=cfg.mix_sources) if cfg.mix_sources > 1 else RealBinaural
    train(partial(windows, ears=EARS[cfg.ears]), GenAudioRealBinaural, cfg)


if __name__ == "__main__":
    run(main, PRESETS)
