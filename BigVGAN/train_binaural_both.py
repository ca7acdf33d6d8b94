"""Stage 2b, fine-tune the vocoder on true mels mixed with predicted ones:

python BigVGAN/train_binaural_both.py --data_root data/real --checkpoint_path checkpoints/vocoder_both \\
    --config BigVGAN/configs/bigvgan_binaural_22khz_80band_256x.json \\
    --mel_pred_dir generated/first --stage1_checkpoint_path checkpoints/vocoder
"""

from dataclasses import replace

import torch

from BigVGAN.env import load_config
from BigVGAN.settings import BothMelConfig
from BigVGAN.training import pred_mel_probability, train_vocoder
from DiffBinaural.utils.arguments import run


def main(cfg: BothMelConfig) -> None:
    """Train or resume the run in --checkpoint_path."""
    cfg = replace(cfg, init_from=cfg.stage1_checkpoint_path or cfg.init_from)
    torch.manual_seed(cfg.seed)

    def probability(step):
        return pred_mel_probability(step, cfg.pred_mel_start_step, cfg.pred_mel_end_step, cfg.pred_mel_max)

    train_vocoder(load_config(cfg.config), cfg, pred_dir=cfg.mel_pred_dir, probability=probability)


if __name__ == "__main__":
    run(main)
