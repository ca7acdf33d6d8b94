"""Render a list's mono sounds binaurally with a trained Mono2Binaural:

python DiffBinaural/experiments/render_mono2binaural.py --run checkpoints/mono2binaural \\
    --data_root data/real --output_dir generated/mono2binaural
"""

from DiffBinaural.experiments.mono2binaural.config import RenderMono2BinauralConfig
from DiffBinaural.experiments.mono2binaural.rendering import render_list
from DiffBinaural.utils.arguments import run


def main(cfg: RenderMono2BinauralConfig) -> None:
    """Write a stereo wav for every clip of the list."""
    print(render_list(cfg))


if __name__ == "__main__":
    run(main)
