"""Mono sound with its video in, binaural sound out, of any length:

python BigVGAN/inference_e2e.py --input_wav mono.wav --input_video clip.mp4 --run checkpoints/first \\
    --checkpoint_file checkpoints/vocoder_both/g_best.pth --output out.wav --mux out.mp4
"""

from BigVGAN.batch import for_each_video
from BigVGAN.pipeline import Pipeline
from BigVGAN.request import E2EConfig
from DiffBinaural.utils.arguments import run


def main(cfg: E2EConfig) -> None:
    """Convert a video, or all of a batch with the models loaded once."""
    for_each_video(cfg, Pipeline.from_config(cfg).convert_request)


def command() -> None:
    """The console command `diffbinaural`."""
    run(main)


if __name__ == "__main__":
    command()
