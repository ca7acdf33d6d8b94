"""Train a tiny model on every objective, with the same budget, and compare their samples on held-out clips:

python DiffBinaural/evaluate_objectives.py --data_root data/scenes --output_dir generated/objectives
"""

from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import ObjectivesConfig, preset_config
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.evaluation import summary
from DiffBinaural.generation import load_model
from DiffBinaural.training import train
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import read_json, write_json
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.validation import sample_figures

OBJECTIVES = ("pred_residual", "pred_x0", "pred_v", "pred_noise")


def main(cfg: ObjectivesConfig) -> None:
    """Train and sample what is not there yet; write objectives.json and print the table."""
    out, table = Path(cfg.output_dir), defaultdict(lambda: defaultdict(list))
    for objective, shift, seed in product(OBJECTIVES, cfg.time_shifts, cfg.seeds):
        name = f"{objective}_shift{shift:g}_seed{seed}_{cfg.num_epoch}epochs"
        tiny = preset_config(
            "tiny",
            id=name,
            data_root=cfg.data_root,
            ckpt=cfg.output_dir,
            seed=seed,
            device=cfg.device,
            num_epoch=cfg.num_epoch,
        )
        tiny = replace(tiny, diffusion=replace(tiny.diffusion, objective=objective, time_shift=shift))
        done = out / name / f"figures_{cfg.limit}clips_{'_'.join(map(str, cfg.steps))}steps.json"
        if not done.exists():
            train(RealBinaural, GenAudioRealBinaural, tiny)
            model = load_model(out / name, pick_device(cfg.device))
            test = GenAudioRealBinaural(cfg.data_root, "test", tiny.mel, tiny.view)
            write_json(done, sample_figures(model, test, cfg.steps, cfg.limit))
        for steps, figures in read_json(done).items():
            row = steps if steps == "mono copy" else f"{objective}, time_shift {shift:g}, {steps} steps"
            for key, value in figures.items():
                table[row][key].append(value)
    rows = {name: {key: summary(values) for key, values in each.items()} for name, each in table.items()}
    write_json(out / "objectives.json", rows)
    for name, each in rows.items():
        print(name, *(f"{key} {s['mean']:.3f} ± {s['std'] or 0:.3f}" for key, s in each.items()), sep=" | ")


if __name__ == "__main__":
    run(main)
