"""Generate a split's binaural mels with a trained stage 1:

python DiffBinaural/test_realBinaural.py --run checkpoints/first --data_root data/real \\
    --output_dir generated/first
"""

from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.inference.config import GenerateConfig
from DiffBinaural.inference.generation import generate_all
from DiffBinaural.utils.arguments import run


def main(cfg: GenerateConfig) -> None:
    """Write <video_id>_<ms>_left.npy and …_right.npy for every clip of the list."""
    for _ in generate_all(GenAudioRealBinaural, cfg):
        pass


if __name__ == "__main__":
    run(main)
