"""Train stage 1 on recorded (or simulated) binaural audio and video:

python DiffBinaural/train_realBinaural.py --id first --data_root data/real
"""

import torch

from DiffBinaural.configs.advanced_diffusion_config import PRESETS, TrainConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.training import fit
from DiffBinaural.utils.arguments import run


def main(cfg: TrainConfig) -> None:
    """Train, or go on with, the run <ckpt>/<id>."""
    torch.manual_seed(cfg.seed)
    train = RealBinaural(cfg.data_root, cfg.list_train, cfg.mel, cfg.view, seed=cfg.seed, mirror=cfg.mirror,
                         windows_per_clip=cfg.windows_per_clip, hide_detections=cfg.hide_detections)
    val = GenAudioRealBinaural(cfg.data_root, cfg.list_val, cfg.mel, cfg.view)
    fit(ModelBuilder(cfg).build(), train, val, cfg)


if __name__ == "__main__":
    run(main, PRESETS)
