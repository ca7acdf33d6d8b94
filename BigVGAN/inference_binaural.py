"""Copy synthesis, or a folder of mel pairs, through the vocoder:

python BigVGAN/inference_binaural.py --checkpoint_file checkpoints/vocoder/g_best.pth \\
    --input_wavs_dir data/real/processed/binaural_audios_22050Hz --output_dir generated/copy
"""

from BigVGAN.bigvgan import load_generator
from BigVGAN.env import CopySynthesisConfig
from BigVGAN.meldataset import MelFolder, WavFolder
from BigVGAN.synthesis import FlatWriter, vocode_folder
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.helpers import pick_device


def main(cfg: CopySynthesisConfig) -> None:
    """Write one stereo wav for every sound or mel pair."""
    vocoder = load_generator(cfg.checkpoint_file).to(pick_device(cfg.device))
    mel = vocoder.cfg.mel
    items = (WavFolder(cfg.input_wavs_dir, mel, cfg.list) if cfg.input_wavs_dir
             else MelFolder(cfg.input_mels_dir, mel, cfg.list))
    vocode_folder(vocoder, items, cfg, FlatWriter(cfg))


if __name__ == "__main__":
    run(main)
