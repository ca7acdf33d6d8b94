"""Train stage 1 on one of FAIR-Play's splits, as written by prepare_fairplay.py:

python DiffBinaural/train_fairplay.py --id fairplay1 --data_root data/fairplay --split split1
"""

from DiffBinaural.configs.advanced_diffusion_config import FAIRPLAY_PRESETS, TrainConfig
from DiffBinaural.dataset.fairplay_pos import FairPlayPos
from DiffBinaural.dataset.fairplay_pos_left import FairPlayPosLeft
from DiffBinaural.dataset.fairplay_pos_right import FairPlayPosRight
from DiffBinaural.dataset.genaudio_fairplay import GenAudioFairPlay
from DiffBinaural.training import train
from DiffBinaural.utils.arguments import run

PRESETS = FAIRPLAY_PRESETS
WINDOWS = {"both": FairPlayPos, "left": FairPlayPosLeft, "right": FairPlayPosRight}


def main(cfg: TrainConfig) -> None:
    """Train or resume the run <ckpt>/<id>."""
    train(WINDOWS[cfg.ears], GenAudioFairPlay, cfg, then="test_fairplay.py")


if __name__ == "__main__":
    run(main, PRESETS)
