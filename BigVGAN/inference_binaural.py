"""Copy synthesis, or a folder of mel pairs, through the vocoder:

python BigVGAN/inference_binaural.py --checkpoint_file checkpoints/vocoder/g_best.pth \\
    --input_wavs_dir data/real/processed/binaural_audios_22050Hz --output_dir generated/copy
"""

from pathlib import Path

import torch
from tqdm import tqdm

from BigVGAN.bigvgan import load_generator
from BigVGAN.env import CopySynthesisConfig
from BigVGAN.meldataset import MelFolder, WavFolder
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.helpers import pick_device, write_wav


def main(cfg: CopySynthesisConfig) -> None:
    """Write one stereo wav for every sound or mel pair."""
    device = pick_device(cfg.device)
    vocoder = load_generator(cfg.checkpoint_file).to(device)
    mel = vocoder.cfg.mel
    items = (WavFolder(cfg.input_wavs_dir, mel, cfg.list) if cfg.input_wavs_dir
             else MelFolder(cfg.input_mels_dir, mel, cfg.list))
    for name, pair, samples in tqdm(items, desc="vocoding", unit="clip"):
        wav = vocoder.vocode(torch.from_numpy(pair).to(device), cfg.chunk)[:, 0, :samples]
        write_wav(Path(cfg.output_dir) / f"{name}.wav", wav.cpu().numpy(), mel.sample_rate)


if __name__ == "__main__":
    run(main)
