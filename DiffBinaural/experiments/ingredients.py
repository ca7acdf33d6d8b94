"""Experiments on the scenes of a training for the real world: all that they are made of, or all but one."""

from pathlib import Path

from DiffBinaural.experiments.kit import ANIMALS_VEHICLES, CONVERT, SPEAKER, film_commands, material
from DiffBinaural.experiments.recipes import SIMULATE, evaluated
from DiffBinaural.experiments.registry import Experiment

TRAINING = "data/corpus"  # of `make corpus`
CUTOUTS = f" --cutouts {TRAINING}/cutouts"  # of what is heard: none without real sounds
INGREDIENTS = {
    "varied looks": f"--varied_fraction 0.5{CUTOUTS} --backgrounds {TRAINING}/backgrounds",
    "real sounds": f"--audio_dir {TRAINING}/sounds --audio_fraction 0.7",
    "bystanders": "--bystanders 0..2",
    "box noise": "--box_noise 0.5",
    "many heads": "--head_radius 7..10.5 --eared_fraction 0.6",
}
EVERY = "all ingredients"
HEAD, SOUNDS = "kemar", f"{SPEAKER} {ANIMALS_VEHICLES}"
TEST = Experiment(
    "data",
    "real scenes",
    film_commands(SOUNDS, "--dry_fraction 0.5 --seed 245", HEAD, clips=34),
    requires=material(SOUNDS),
)
FILMS = f"{{root}}/{TEST.folder(Path())}"


def without(ingredient: str, decided_by: str, decision: str = "") -> Experiment:
    """A small stage 1, trained on scenes that lack one ingredient, converts the films of TEST."""
    return trained_on(ingredient, against=EVERY, decided_by=decided_by, decision=decision)


def trained_on(row: str, **about) -> Experiment:
    """A small stage 1, trained on scenes with every ingredient but the one that the row names."""
    folders = tuple(f"{TRAINING}/{folder}" for folder in ("cutouts", "backgrounds", "sounds"))
    scenes = " ".join(words for name, words in INGREDIENTS.items() if name != row)
    scenes = scenes if "--audio_dir" in scenes else scenes.replace(CUTOUTS, "")
    data = f"{FILMS}/data"
    return Experiment(
        "parts",
        row,
        (
            f"{SIMULATE} --clips {{real_clips}} --held_out 8 --sources 1..2 --sounding --video_fps 25 "
            f"--dry_fraction 0.2 --fov 60..120 --seed {{seed}} {scenes}",
            "DiffBinaural/train_realBinaural.py --id stage1 --ckpt {here} --data_root {here}/data "
            "--preset {preset} --num_epoch {epochs} --eval_epoch {epochs} --direct_path --time_shift 100 "
            "--hide_detections 0.15 --seed {seed}",
            f"{CONVERT} --run {{here}}/stage1 --input_video {FILMS}/films/found.csv --renderer levelled "
            f"--head {HEAD} --output {{here}}/model",
            *evaluated(data, {"model": "{here}/model"}, anchors="against" not in about),
        ),
        requires=(*folders, *TEST.requires),
        **about,
    )


INGREDIENT_ROWS = (
    TEST,
    trained_on(EVERY),
    without(
        "varied looks",
        "itd_error",
        "kept as an option, off by default: with `--direct_path` directions come from the detections and the "
        "head",
    ),
    without(
        "real sounds",
        "stft",
        "open: so short a training learns no more from real sounds than from built-in ones",
    ),
    without(
        "bystanders",
        "itd_error",
        "kept in `make weights`, though not proved here: how likely each sounds is estimated before "
        "the model",
    ),
    without(
        "box noise",
        "itd_error",
        "kept as an option, off by default",
    ),
    without("many heads", "ild_error"),
)
