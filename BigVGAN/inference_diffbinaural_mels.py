"""Stage 1's mels through the vocoder:

python BigVGAN/inference_diffbinaural_mels.py --checkpoint_file checkpoints/vocoder_both/g_best.pth \\
    --mels_dir generated/first --output_dir generated/wavs
"""

from BigVGAN.bigvgan import load_generator
from BigVGAN.env import VocodeMelsConfig
from BigVGAN.meldataset import MelFolder
from BigVGAN.synthesis import FairplayWriter, FlatWriter, vocode_folder
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.helpers import pick_device


def main(cfg: VocodeMelsConfig) -> None:
    """Write <video_id>_<ms>.wav for every mel pair, or a folder as --layout fairplay has it."""
    vocoder = load_generator(cfg.checkpoint_file).to(pick_device(cfg.device))
    writer = FairplayWriter(cfg) if cfg.layout == "fairplay" else FlatWriter(cfg)
    vocode_folder(vocoder, MelFolder(cfg.mels_dir, vocoder.cfg.mel), cfg, writer)


if __name__ == "__main__":
    run(main)
