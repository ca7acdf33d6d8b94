"""A mono sound and a video in, binaural sound out:

python BigVGAN/inference_e2e.py --input_wav mono.wav --input_video clip.mp4 --run checkpoints/first \\
    --checkpoint_file checkpoints/vocoder_both/g_best.pth --output out.wav --mux out.mp4
"""

import sys
import time
from pathlib import Path

from BigVGAN.bigvgan import load_generator
from BigVGAN.env import E2EConfig
from DiffBinaural.generation import draw_generated, generate_pair, load_models, mono_sound, video_clip
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.helpers import pick_device, same_mel, write_wav
from DiffBinaural.utils.media import mux


def main(cfg: E2EConfig) -> None:
    """Write --output with as many samples as the input has, and what --mux and --plot ask for."""
    began, device = time.monotonic(), pick_device(cfg.device)
    models, vocoder = load_models(cfg.run, device), load_generator(cfg.checkpoint_file).to(device)
    mel, rate = models[0].cfg.mel, models[0].cfg.mel.sample_rate
    same_mel(vocoder.cfg.mel, mel, str(cfg.checkpoint_file))
    mono = mono_sound(cfg.input_wav or cfg.input_video, rate)
    clip, notice = video_clip(cfg.input_video, mono, models[0].cfg, cfg.detections)
    if notice:
        print(notice, file=sys.stderr)
    pair = generate_pair(models, clip, cfg)
    wav = vocoder.vocode(pair.to(device))[:, 0, : mono.shape[1]].cpu().numpy()
    write_wav(cfg.output, wav, rate)
    if cfg.mux:
        with replacing(cfg.mux) as partial:
            mux(cfg.input_video, partial, wav, rate)
    if cfg.plot:
        draw_generated(cfg.plot, clip, pair, mel)
    samples, took = wav.shape[1], time.monotonic() - began
    print(f"{Path(cfg.output)}: {samples} samples, {samples / rate:.2f} s, in {took:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    run(main)
