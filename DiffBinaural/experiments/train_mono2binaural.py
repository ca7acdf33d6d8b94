"""Train Mono2Binaural (Gao & Grauman, "2.5D Visual Sound", CVPR 2019) on a dataset of stage 1:

python DiffBinaural/experiments/train_mono2binaural.py --run checkpoints/mono2binaural \\
    --data_root data/real --time_budget 3600

As in the paper: windows of 0.63 s at 16 kHz as complex spectrograms; a U-Net that sees the picture nearest to
the window's middle through a ResNet-18, at its bottleneck; a complex mask on the mono; the squared error of
L - R.  Beyond it: mirror images, learning rates that fall over the training, averaged weights, the best of
several validations.  On a CPU small pictures are quicker: --image_height 64 --trunk_stride 16.
"""

from pathlib import Path

from DiffBinaural.experiments.mono2binaural.config import TrainMono2BinauralConfig
from DiffBinaural.experiments.mono2binaural.training import fit_network
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import next_command


def main(cfg: TrainMono2BinauralConfig) -> None:
    """Train or resume the run."""
    ended = fit_network(cfg)
    places = {"run": cfg.run, "data_root": cfg.data_root, "output_dir": f"generated/{Path(cfg.run).name}"}
    print(ended, next_command("DiffBinaural/experiments/render_mono2binaural.py", **places), sep="\n")


if __name__ == "__main__":
    run(main)
