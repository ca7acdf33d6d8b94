"""Stage 1's mels through the vocoder:

python BigVGAN/inference_diffbinaural_mels.py --checkpoint_file checkpoints/vocoder_both/g_best.pth \\
    --mels_dir generated/first --output_dir generated/wavs
"""

from pathlib import Path

import torch
from tqdm import tqdm

from BigVGAN.bigvgan import load_generator
from BigVGAN.env import VocodeConfig
from BigVGAN.meldataset import MelFolder
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.helpers import pick_device, write_wav


def main(cfg: VocodeConfig) -> None:
    """Write <video_id>_<ms>.wav for every mel pair."""
    device = pick_device(cfg.device)
    vocoder = load_generator(cfg.checkpoint_file).to(device)
    for name, pair, _ in tqdm(MelFolder(cfg.mels_dir, vocoder.cfg.mel), desc="vocoding", unit="clip"):
        wav = vocoder.vocode(torch.from_numpy(pair).to(device), cfg.chunk)[:, 0]
        write_wav(Path(cfg.output_dir) / f"{name}.wav", wav.cpu().numpy(), vocoder.cfg.sampling_rate)


if __name__ == "__main__":
    run(main)
