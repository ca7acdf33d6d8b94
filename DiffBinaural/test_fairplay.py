"""Generate a FAIR-Play split's binaural mels with a trained stage 1:

python DiffBinaural/test_fairplay.py --run checkpoints/fairplay1 --data_root data/fairplay \\
    --output_dir generated/fairplay1
"""

from DiffBinaural.dataset.genaudio_fairplay import GenAudioFairPlay
from DiffBinaural.inference.config import GenerateConfig
from DiffBinaural.inference.generation import generate_all
from DiffBinaural.utils.arguments import run


def main(cfg: GenerateConfig) -> None:
    """Write <id>_<ms>_left.npy and …_right.npy for every clip of the list, of the run's split by default."""
    for _ in generate_all(GenAudioFairPlay, cfg):
        pass


if __name__ == "__main__":
    run(main)
