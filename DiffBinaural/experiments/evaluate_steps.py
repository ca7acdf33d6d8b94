"""Measure quality against the number of denoising steps, with the time that they take:

python DiffBinaural/experiments/evaluate_steps.py --run checkpoints/first --data_root data/real \\
    --output_dir steps
"""

from pathlib import Path

from tabulate import tabulate

from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.experiments.config import StepsConfig
from DiffBinaural.experiments.steps import steps_figures
from DiffBinaural.inference.loading import load_model
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.plots import draw_history


def main(cfg: StepsConfig) -> None:
    """Generate the list with every number of steps; write steps.json and steps.png and print the table."""
    model, out = load_model(cfg.run, pick_device(cfg.device)), Path(cfg.output_dir)
    test = GenAudioRealBinaural(cfg.data_root, cfg.list_test, model.cfg.mel, model.cfg.view)
    rows, clips = steps_figures(model, test, cfg)
    write_json(out / "steps.json", {"rows": rows, "clips": clips})
    draw_history(out / "steps.png", rows, "mel_rmse", "mel_ild_error", "seconds a second")
    print(tabulate(rows, headers="keys", floatfmt=".3g", tablefmt="github"))


if __name__ == "__main__":
    run(main)
