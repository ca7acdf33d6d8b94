"""Stage 2a, train the vocoder on true mels:

python BigVGAN/train_binaural_mel.py --data_root data/real --checkpoint_path checkpoints/vocoder \\
    --config BigVGAN/configs/bigvgan_binaural_22khz_80band_256x.json
"""

import torch

from BigVGAN.env import load_config
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training import train_vocoder
from DiffBinaural.utils.arguments import run


def main(cfg: TrueMelConfig) -> None:
    """Train or resume the run in --checkpoint_path."""
    torch.manual_seed(cfg.seed)
    train_vocoder(load_config(cfg.config), cfg)


if __name__ == "__main__":
    run(main)
