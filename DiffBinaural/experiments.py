"""The small experiments behind RESULTS.md: what they are, in order, and how they are run and resumed.

An experiment is a few of the project's own commands, meant for six minutes of two cores; slow cores take
longer.  Each keeps what it made, and record.json, in a folder of its own; what is there is not made again.
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import torch

from DiffBinaural.utils.files import read_json, write_json
from DiffBinaural.utils.locks import locked

ROOT = Path(__file__).parents[1]
RECORD = "record.json"
SEEDS = (1, 2)  # beside 0, of a row whose interval holds zero

# What differs with the scale: "small" is for two cores, "base" for a GPU and its hours.
SCALES = {
    "small": {
        "preset": "tiny",
        "clips": "120",
        "epochs": "3",
        "vocoder": "bigvgan_binaural_tiny.json",
        "freeze": "250",
        "steps_2a": "400",
        "steps_2b": "150",
        "ramp": "50",
    },
    "base": {
        "preset": "base",
        "clips": "3000",
        "epochs": "40",
        "vocoder": "bigvgan_binaural_22khz_80band_256x.json",
        "freeze": "0",
        "steps_2a": "100000",
        "steps_2b": "20000",
        "ramp": "5000",
    },
}


@dataclass(frozen=True)
class Experiment:
    """A row of a table, or the data that rows share.

    commands   words after "python"; {root}: the results, {here}: this experiment's folder, {base}: that of
               `against`, {seed}, and the words of SCALES
    against    parts: the row with the part, of which this one has one part less
    judged_by  parts: the figure that the part is there for
    settings   keys of the vocoder's config.json that differ: written to {here}/vocoder.json
    decision   parts: what follows where the interval of judged_by holds zero
    """

    table: str
    row: str
    commands: tuple[str, ...]
    against: str = ""
    judged_by: str = ""
    settings: tuple[tuple[str, object], ...] | None = None
    decision: str = ""
    seed: int = 0

    def folder(self, root: Path) -> Path:
        """Where it keeps what it makes."""
        return root / self.table / (slug(self.row) + (f"_seed{self.seed}" if self.seed else ""))

    def words(self, root: Path, scale: str) -> list[list[str]]:
        """Its commands as they are run."""
        known = {
            **SCALES[scale],
            "root": root,
            "here": self.folder(root),
            "seed": self.seed,
            "base": replace(self, row=self.against).folder(root),
        }
        return [shlex.split(command.format(**known)) for command in self.commands]


def slug(row: str) -> str:
    """A row's title as the name of a folder.

    >>> slug("1 source, room")
    '1_source_room'
    """
    return re.sub(r"[^\w.+]+", "_", row)


def slug_path(name: str) -> str:
    """A table, or a table and a row, as :meth:`Experiment.folder` has them."""
    table, bar, row = name.partition("/")
    return f"{table}{bar}{slug(row)}"


# --- recipes: commands that several experiments share -------------------------------------------------------

SIMULATE = "DiffBinaural/simulate_dataset.py --out {here}/data --seconds 4"
SCENES = "{root}/data/scenes/data"


def stage1(data: str, made: str, words: str = "", run: str = "weights/stage1", listing: str = "train") -> str:
    """Mels of a list of scenes."""
    return (
        f"DiffBinaural/test_realBinaural.py --run {run} --data_root {data} --list_test {listing} "
        f"--output_dir {{here}}/{made} {words}"
    )


def rendered(data: str, mels: str, made: str, how: str) -> str:
    """Sound from mels: with a vocoder's file, or the words of a renderer on the mono's phase."""
    if how.startswith("--renderer"):
        how += f" --mono_dir {data}/processed/mono_audios_22050Hz"
    return f"BigVGAN/inference_diffbinaural_mels.py --mels_dir {mels} --output_dir {{here}}/{made} {how}"


def judged(
    data: str, wavs: dict[str, str], mels: dict[str, str] | None = None, anchors: bool = True
) -> tuple[str, ...]:
    """metrics.json of systems: name -> folder."""
    truth = (
        f"{'' if anchors else '--no-anchors '}--gt_dir {data}/processed/binaural_audios_22050Hz "
        f"--mono_dir {data}/processed/mono_audios_22050Hz --output_json {{here}}"
    )
    heard = (
        f"DiffBinaural/evaluate_binaural_22050.py {truth}/metrics.json "
        f"--pred_dir {' '.join(f'{name}={folder}' for name, folder in wavs.items())}"
    )
    if not mels:
        return (heard,)
    seen = (
        f"DiffBinaural/evaluate_mel_spectrogram_rmse.py {truth}/mels.json "
        f"--pred_dir {' '.join(f'{name}={folder}' for name, folder in mels.items())}"
    )
    return seen, f"{heard} --merge_json {{here}}/mels.json"


# --- the list -----------------------------------------------------------------------------------------------


def quality(sources: int, room: str) -> Experiment:
    """The shipped models on 20 new scenes of a kind: each renderer, with detections and with whole frames."""
    data, shipped = "{here}/data", "--checkpoint_file weights/vocoder/g_best.pth"
    hows = {
        "vocoder": shipped,
        "mono": "--renderer mono",
        "mono_exact": "--renderer mono --exact_downmix",
        "wiener": "--renderer wiener",
    }
    views = {"": "mels", "_whole": "whole_mels"}
    systems = {f"{how}{view}": "{here}/" + f"{how}{view}" for how in reversed(hows) for view in views}
    return Experiment(
        "quality",
        f"{sources} source{'s' * (sources > 1)}, {room.replace('-', ' ')}",
        (
            # of these datasets nothing is trained on: their largest list, called train, is the test
            f"{SIMULATE} --clips 22 --held_out 1 --seed 9{sources} --sources {sources} --{room}",
            stage1(data, "mels", "--symmetric"),
            stage1(data, "whole_mels", "--symmetric --no-detections"),
            *(
                rendered(data, f"{{here}}/{mels}", how + view, words)
                for view, mels in views.items()
                for how, words in hows.items()
            ),
            "BigVGAN/inference_binaural.py --renderer mono "
            f"--input_wavs_dir {data}/processed/binaural_audios_22050Hz --list {data}/splits/train.csv "
            "--output_dir {here}/ceiling",
            *judged(
                data,
                {**systems, "ceiling": "{here}/ceiling"},
                {f"wiener{view}": f"{{here}}/{mels}" for view, mels in views.items()},
            ),
        ),
    )


def general(change: str, words: str) -> Experiment:
    """The shipped models on one source in a room, with one thing other than in their training."""
    data, words = "{here}/data", words if "--sources" in words else f"--sources 1 {words}"
    return Experiment(
        "general",
        change,
        (
            f"{SIMULATE} --clips 14 --held_out 1 --seed 97 {words}",
            stage1(data, "mels"),
            rendered(data, "{here}/mels", "wiener", "--renderer wiener"),
            *judged(data, {"wiener": "{here}/wiener"}),
        ),
    )


def trained(
    row: str,
    words: str = "--interaural_phase",
    sampling: str = "",
    *,
    ears: tuple[str, ...] = ("both",),
    how: str = "--renderer wiener",
    anchors: bool = False,
    **about,
) -> Experiment:
    """A small stage 1, trained alike but for one part, on the test list."""
    runs = {ear: f"stage1_{ear}" for ear in ears}
    return Experiment(
        "parts",
        row,
        (
            *(
                f"DiffBinaural/train_realBinaural.py --id {run} --ckpt {{here}} --data_root {SCENES} "
                "--preset {preset} --num_epoch {epochs} --eval_epoch {epochs} "
                f"--ears {ear} --seed {{seed}} {words}"
                for ear, run in runs.items()
            ),
            *sampled(" ".join("{here}/" + run for run in runs.values()), sampling, how, anchors),
        ),
        **about,
    )


def sampled(
    run: str, sampling: str = "", how: str = "--renderer wiener", anchors: bool = False
) -> tuple[str, ...]:
    """The test list from a run, and its figures."""
    return (
        stage1(SCENES, "mels", f"--seed {{seed}} {sampling}", run, "test"),
        rendered(SCENES, "{here}/mels", "wavs", how),
        *judged(SCENES, {"model": "{here}/wavs"}, {"model": "{here}/mels"}, anchors),
    )


def vocoder(row: str, *changed: tuple[str, object], anchors: bool = False, **about) -> Experiment:
    """A small vocoder, trained alike but for one part; copy synthesis of the test list."""
    sounds = f"{SCENES}/processed/binaural_audios_22050Hz"
    return Experiment(
        "parts",
        row,
        (
            f"BigVGAN/train_binaural_mel.py {VOCODER_DATA} --checkpoint_path {{here}}/vocoder "
            "--freeze_step {freeze} --training_steps {steps_2a} --validation_interval {steps_2a} "
            "--seed {seed}",
            "BigVGAN/inference_binaural.py --checkpoint_file {here}/vocoder/g_best.pth "
            f"--input_wavs_dir {sounds} --list {SCENES}/splits/test.csv --output_dir {{here}}/wavs",
            *judged(SCENES, {"model": "{here}/wavs"}, anchors=anchors),
        ),
        settings=changed,
        **about,
    )


VOCODER_DATA = (
    f"--audio_dir {SCENES}/processed/binaural_audios_22050Hz "
    f"--list_train {SCENES}/splits/train.csv --list_val {SCENES}/splits/val.csv "
    "--config {here}/vocoder.json"
)


def continued(row: str, script: str, words: str, *, anchors: bool = False, **about) -> Experiment:
    """The small vocoder, trained on for a while; then the sound of stage 1's mels of the test list."""
    return Experiment(
        "parts",
        row,
        (
            f"BigVGAN/{script}.py {VOCODER_DATA} --checkpoint_path {{here}}/vocoder "
            "--init_from {root}/parts/vocoder/vocoder --training_steps {steps_2b} "
            f"--validation_interval {{steps_2b}} --seed {{seed}} {words}",
            # the last, not the best: each side would choose its own by other mels, perhaps the untrained start
            rendered(
                SCENES, "{root}/parts/all/mels", "wavs", "--checkpoint_file {here}/vocoder/g_{steps_2b:0>8}"
            ),
            *judged(SCENES, {"model": "{here}/wavs"}, anchors=anchors),
        ),
        settings=(),
        **about,
    )


TWO = "{root}/quality/2_sources_room/data"
PLACES = [f"x_{k / 4 - 1:+.2f}" for k in range(9)]

EXPERIMENTS = (
    *(quality(sources, room) for sources in (1, 2, 3) for room in ("no-room", "room")),
    Experiment("data", "scenes", (f"{SIMULATE} --clips {{clips}} --held_out 20 --sources 1..2 --seed 11",)),
    trained("all", anchors=True),
    trained(
        "vision",
        "--interaural_phase --drop_vision 1",
        "--guidance_scale 0",
        against="all",
        judged_by="mel_ild_error",
    ),
    trained(
        "detections",
        "--interaural_phase --hide_detections 1",
        "--no-detections",
        against="all",
        judged_by="mel_ild_error",
    ),
    trained(
        "mirror augmentation", "--interaural_phase --no-mirror", against="all", judged_by="mel_ild_error"
    ),
    trained(
        "phasor", "", how="--checkpoint_file weights/vocoder/g_best.pth", against="all", judged_by="itd_error"
    ),
    Experiment(
        "parts",
        "joint denoising",
        sampled("{base}/stage1_both", "--no-joint"),
        against="all",
        judged_by="mel_rmse",
        decision="kept: it costs nothing; with two steps and a model that "
        "leaves little to chance, windows apart agree about as well",
    ),
    trained(
        "EMA",
        "--interaural_phase --ema_decay 0",
        against="all",
        judged_by="mel_rmse",
        decision="kept: in so short a training, whose rates fall to zero, the average only lags behind, "
        "and leaving it out gains next to nothing; nothing is shown here about long ones",
    ),
    *(
        trained(
            f"objective pred_residual ({other} in its place)",
            f"--interaural_phase --objective {other}",
            against="all",
            judged_by="mel_rmse",
        )
        for other in ("pred_x0", "pred_v", "pred_noise")
    ),
    trained(
        "one model of both ears",
        "",
        ears=("left", "right"),
        how="--checkpoint_file weights/vocoder/g_best.pth",
        against="phasor",
        judged_by="mel_ild_error",
        decision="one model stays the default, for half the work and the phasor, which lies between the "
        "ears; two with twice the training are better here, and `--ears left` and `right` stay",
    ),
    vocoder("vocoder", anchors=True),
    vocoder(
        "interaural loss",
        ("lambda_interaural", 0),
        against="vocoder",
        judged_by="itd_error",
        decision="kept, and to be judged again on a longer training: a vocoder of so few steps has no "
        "phase that could be right between the ears, while `mrstft` is the better for it",
    ),
    vocoder("level loss", ("lambda_level", 0), against="vocoder", judged_by="ild_error"),
    vocoder("MRD", ("resolutions", []), against="vocoder", judged_by="mrstft"),
    vocoder("MPD", ("mpd_reshapes", []), against="vocoder", judged_by="mrstft"),
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
        judged_by="mrstft",
        decision="kept as stage 2b, which is nothing else, and need not be run: on "
        "mels of so small a stage 1 it buys levels and envelopes with the detail of spectra",
    ),
    Experiment(
        "steps",
        "shipped models",
        (
            f"DiffBinaural/evaluate_steps.py --run weights/stage1 --data_root {TWO} "
            "--list_test train --steps 1 2 4 8 25 --samplers ddim dpm++ --limit 10 --output_dir {here}",
        ),
    ),
    Experiment(
        "steps",
        "heard",
        (
            *(
                command
                for count in (1, 2, 4, 8)
                for command in (
                    stage1(TWO, f"mels_{count}", f"--symmetric --sampling_timesteps {count}"),
                    rendered(TWO, f"{{here}}/mels_{count}", f"steps_{count}", "--renderer wiener"),
                )
            ),
            *judged(TWO, {f"steps_{count}": f"{{here}}/steps_{count}" for count in (1, 2, 4, 8)}),
        ),
    ),
    Experiment(
        "places",
        "speech",
        (
            "DiffBinaural/simulate_speech.py --out {here}/speech --clips 8 --seed 2",
            f"{SIMULATE} --clips 10 --held_out 1 --sources 1 --no-room --audio_dir {{here}}/speech --seed 96",
            "DiffBinaural/test_pos.py --data_root {here}/data --list_test train --output_dir {here}/mels "
            "--sweep --positions 9",
            *(
                rendered("{here}/data", f"{{here}}/mels/{x}", f"wavs/{x}", "--renderer wiener")
                for x in PLACES
            ),
            "DiffBinaural/evaluate_places.py --placed {here}/wavs "
            "--mono_dir {here}/data/processed/mono_audios_22050Hz --output_json {here}/places.json",
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
            "speech": "--audio_dir {root}/places/speech/speech",
            "5 sources": "--sources 5",
        }.items()
    ),
    Experiment(
        "anchors",
        "1 to 3 sources",
        (
            f"{SIMULATE} --clips 22 --held_out 1 --seed 1",
            *judged("{here}/data", {"truth": "{here}/data/processed/binaural_audios_22050Hz"}),
        ),
    ),
    *(
        Experiment("speed", part, (f"tests/benchmark.py --only {part} --output_json {{here}}/bench.json",))
        for part in ("unet", "vocoder", "length", "whole", "training")
    ),
)


def chosen(only: tuple[str, ...], root: Path, scale: str) -> list[Experiment]:
    """The experiments of these tables, or <table>/<row>s, with all that they need, in the list's order.

    ValueError for a name that is none.
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


def needs(experiment: Experiment, other: Experiment, root: Path, scale: str) -> bool:
    """Whether one reads from the other's folder, or is compared with it."""
    words = " ".join(" ".join(command) for command in experiment.words(root, scale))
    compared = (experiment.table, experiment.against) == (other.table, other.row)
    return compared or f"{other.folder(root)}/" in words


# --- running ------------------------------------------------------------------------------------------------


def machine() -> dict:
    """What the commands run on."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", told)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cores": os.cpu_count(),
        "processor": model[1] if model else platform.processor(),
        "gpu": gpu,
        "torch": torch.__version__.split("+")[0],
    }


def record_of(experiment: Experiment, root: Path) -> dict | None:
    """{"commands", "settings", "seconds": of each command that is done, "machine"}; None before the first."""
    path = ROOT / experiment.folder(root) / RECORD
    return read_json(path) if path.exists() else None


def finished(experiment: Experiment, root: Path) -> bool:
    """Whether all its commands are done."""
    record = record_of(experiment, root)
    return record is not None and len(record["seconds"]) == len(record["commands"])


def carry_out(experiment: Experiment, root: Path, scale: str) -> None:
    """Run what is not done yet; with other commands than the record's it starts anew, and all that needs it.

    Raises ValueError, with the command's last line, where one fails.
    """
    with locked(here := ROOT / experiment.folder(root)):
        words = experiment.words(root, scale)
        declared = {
            "commands": [shlex.join(["python", *command]) for command in words],
            "settings": dict(experiment.settings or ()),
        }
        record = record_of(experiment, root)
        if record and any(record[name] != declared[name] for name in declared):
            forget(experiment, root, scale)
            record = None
        record = record or {**declared, "seconds": []}
        if experiment.settings is not None:
            plain = read_json(ROOT / "BigVGAN/configs" / SCALES[scale]["vocoder"])
            write_json(here / "vocoder.json", plain | dict(experiment.settings))
        for command in words[len(record["seconds"]) :]:
            begun = perf_counter()
            call(command, here / "log.txt")
            record["seconds"].append(round(perf_counter() - begun, 1))
            write_json(here / RECORD, {**record, "machine": machine()})


def forget(experiment: Experiment, root: Path, scale: str) -> None:
    """Remove what an experiment made, all but its lock; with other seeds too, and of all that need it."""
    for seed in (0, *SEEDS) if experiment.seed == 0 else (experiment.seed,):
        for path in (ROOT / replace(experiment, seed=seed).folder(root)).glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith("."):
                path.unlink()
    for other in EXPERIMENTS:
        if needs(other, experiment, root, scale) and record_of(other, root):
            forget(other, root, scale)


def call(command: list[str], log: Path) -> None:
    """One command from the project's folder; a signal to us goes on to it, once: trainings save then."""
    with (
        open(log, "ab") as file,
        subprocess.Popen(  # noqa: S603
            [sys.executable, *command],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
        raise ValueError(f"{log}: python {shlex.join(command)} ended with status {code}: {last[0]}")
