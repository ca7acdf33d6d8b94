"""The experiments behind RESULTS.md, in order."""

from pathlib import Path

from DiffBinaural.experiments.ingredients import INGREDIENT_ROWS
from DiffBinaural.experiments.kit import KIT
from DiffBinaural.experiments.recipes import (
    SCENES,
    SIMULATE,
    continued,
    evaluated,
    general,
    quality,
    rendered,
    stage1,
    trained,
    vocoder,
)
from DiffBinaural.experiments.registry import Experiment, needs, slug_path

TWO = "{root}/quality/2_sources_room/data"
POSITION_FOLDERS = [f"x_{k / 4 - 1:+.2f}" for k in range(9)]
# of the kit: a language and speakers that no training heard, recordings of single instruments
ITALIAN = " ".join(f"person/speech_it_{number:03d}.wav" for number in range(12))
INSTRUMENTS = (
    "accordion banjo bassoon cello clarinet drum electric_guitar flute french_horn guitar harmonica harp "
    "organ piano saxophone trombone trumpet tuba violin"
)
EXPERIMENTS = (
    *(quality(sources, room) for sources in (1, 2, 3) for room in ("no-room", "room")),
    quality(1, "room", bystanders=True),
    Experiment("data", "scenes", (f"{SIMULATE} --clips {{clips}} --held_out 20 --sources 1..2 --seed 11",)),
    trained("all", anchors=True),
    trained(
        "vision",
        "--interaural_phase --drop_vision 1",
        "--guidance_scale 0",
        against="all",
        decided_by="mel_ild_error",
    ),
    trained(
        "detections",
        "--interaural_phase --hide_detections 1",
        "--no-detections",
        against="all",
        decided_by="mel_ild_error",
    ),
    trained(
        "mirror augmentation", "--interaural_phase --no-mirror", against="all", decided_by="mel_ild_error"
    ),
    trained(
        "phasor",
        "",
        how="--checkpoint_file weights/vocoder/g_best.pth",
        against="all",
        decided_by="itd_error",
    ),
    trained(
        "EMA",
        "--interaural_phase --ema_decay 0",
        against="all",
        decided_by="mel_rmse",
        decision="kept: in so short a training, whose rates fall to zero, the average only lags behind, "
        "and leaving it out gains almost nothing; this shows nothing about long trainings",
    ),
    *(
        trained(
            f"objective pred_residual ({other} in its place)",
            f"--interaural_phase --objective {other}",
            against="all",
            decided_by="mel_rmse",
        )
        for other in ("pred_x0", "pred_v", "pred_noise")
    ),
    trained(
        "one model of both ears",
        "",
        ears=("left", "right"),
        how="--checkpoint_file weights/vocoder/g_best.pth",
        against="phasor",
        decided_by="mel_ild_error",
        decision="one model stays the default, for half the work and the phasor, which lies between the "
        "ears; two with twice the training are better here, and `--ears left` and `right` stay",
    ),
    vocoder("vocoder", anchors=True),
    vocoder(
        "interaural loss",
        ("lambda_interaural", 0),
        against="vocoder",
        decided_by="itd_error",
        decision="kept, to be measured again after a longer training: after so few steps the vocoder's "
        "phase cannot be right between the ears, while `mrstft` is better with it",
    ),
    vocoder("level loss", ("lambda_level", 0), against="vocoder", decided_by="ild_error"),
    vocoder("MRD", ("resolutions", []), against="vocoder", decided_by="mrstft"),
    vocoder("MPD", ("mpd_reshapes", []), against="vocoder", decided_by="mrstft"),
    Experiment(
        "data",
        "predicted",
        tuple(
            stage1(SCENES, "mels", run="{root}/parts/all/stage1_both", listing=each)
            for each in ("train", "val")
        ),
    ),
    continued(
        "scheduled sampling, with",
        "train_binaural_both",
        "--mel_pred_dir {root}/data/predicted/mels --pred_mel_end_step {ramp}",
        anchors=True,
    ),
    continued(
        "scheduled sampling",
        "train_binaural_mel",
        "",
        against="scheduled sampling, with",
        decided_by="mrstft",
        decision="kept as stage 2b, which is nothing else, and need not be run: on "
        "mels of so small a stage 1 it buys levels and envelopes with the detail of spectra",
    ),
    *INGREDIENT_ROWS,
    Experiment(
        "steps",
        "shipped models",
        (
            f"DiffBinaural/experiments/evaluate_steps.py --run weights/stage1 --data_root {TWO} "
            "--list_test train --steps 1 2 4 8 25 --samplers ddim dpm++ --limit 10 --output_dir {here}",
        ),
    ),
    Experiment(
        "steps",
        "rendered",
        (
            *(
                command
                for count in (1, 2, 4, 8)
                for command in (
                    stage1(TWO, f"mels_{count}", f"--symmetric --sampling_timesteps {count}"),
                    rendered(TWO, f"{{here}}/mels_{count}", f"steps_{count}", "--renderer wiener"),
                )
            ),
            *evaluated(TWO, {f"steps_{count}": f"{{here}}/steps_{count}" for count in (1, 2, 4, 8)}),
        ),
    ),
    Experiment(
        "positions",
        "speech",
        (
            "DiffBinaural/simulate_speech.py --out {here}/speech --clips 8 --seed 2",
            f"{SIMULATE} --clips 10 --held_out 1 --sources 1 --no-room --audio_dir {{here}}/speech --seed 96",
            "DiffBinaural/test_pos.py --data_root {here}/data --list_test train --output_dir {here}/mels "
            "--sweep --positions 9",
            *(
                rendered("{here}/data", f"{{here}}/mels/{x}", f"wavs/{x}", "--renderer wiener")
                for x in POSITION_FOLDERS
            ),
            "DiffBinaural/experiments/evaluate_positions.py --placed {here}/wavs "
            "--mono_dir {here}/data/processed/mono_audios_22050Hz --output_json {here}/positions.json",
        ),
    ),
    *(
        general(change, words)
        for change, words in {
            "as in training": "",
            "head of 8 cm": "--head_radius 8",
            "head of 9.5 cm": "--head_radius 9.5",
            "head of 11 cm": "--head_radius 11",
            "camera of 60°": "--fov 60",
            "25 pictures a second": "--fps 25",
            "speech": "--audio_dir {root}/positions/speech/speech",
            "5 sources": "--sources 5",
        }.items()
    ),
    general("recorded speech", sounds=ITALIAN),
    general("recorded instruments", sounds=INSTRUMENTS),
    Experiment(
        "anchors",
        "1 to 3 sources",
        (
            f"{SIMULATE} --clips 22 --held_out 1 --seed 1",
            *evaluated("{here}/data", {"truth": "{here}/data/processed/binaural_audios_22050Hz"}),
        ),
    ),
    *KIT,
    *(
        Experiment("speed", part, (f"tests/benchmark.py --only {part} --output_json {{here}}/bench.json",))
        for part in ("unet", "vocoder", "length", "whole", "training")
    ),
)

# Entries of docs/results.json over the clips of all rows of a table.
POOLED = ("all/quality", "all/kit")
# Rows that docs/results.json keeps and the pages show, and that nothing can run any more.
RETIRED = ("parts/joint denoising",)


def chosen(only: tuple[str, ...], root: Path, scale: str) -> list[Experiment]:
    """The experiments of these tables or <table>/<row>s and of all that they need, in the list's order.

    Raises ValueError for an unknown name.
    """
    names = {name for e in EXPERIMENTS for name in (e.table, str(e.folder(Path())))}
    if unknown := [name for name in only if slug_path(name) not in names]:
        raise ValueError(
            f"--only {unknown[0]}: no such table or row; the tables are "
            f"{', '.join(dict.fromkeys(e.table for e in EXPERIMENTS))}"
        )
    wanted = {slug_path(name) for name in only}
    take = [not only or not wanted.isdisjoint((e.table, str(e.folder(Path())))) for e in EXPERIMENTS]
    for i in reversed(range(len(EXPERIMENTS))):
        for k in range(i):
            take[k] |= take[i] and needs(EXPERIMENTS[i], EXPERIMENTS[k], root, scale)
    return [e for e, taken in zip(EXPERIMENTS, take, strict=True) if taken]
