"""Builders of experiments from the scripts' commands."""

from DiffBinaural.experiments.registry import Experiment

SIMULATE = "DiffBinaural/simulate_dataset.py --out {here}/data --seconds 4"
SCENES = "{root}/data/scenes/data"
KIT_CORPUS = "data/kit"  # what `make results` gathers
PEER_RUN = "generated/weights/runs/mono2binaural"  # of `make mono2binaural`


def stage1(data: str, made: str, words: str = "", run: str = "weights/stage1", listing: str = "train") -> str:
    """Command that generates the mels of a list of scenes."""
    return (
        f"DiffBinaural/test_realBinaural.py --run {run} --data_root {data} --list_test {listing} "
        f"--output_dir {{here}}/{made} {words}"
    )


def rendered(data: str, mels: str, made: str, how: str) -> str:
    """Command that turns mels into wavs, with the options of a vocoder or of a renderer."""
    if how.startswith("--renderer"):
        how += f" --mono_dir {data}/processed/mono_audios_22050Hz"
    return f"BigVGAN/inference_diffbinaural_mels.py --mels_dir {mels} --output_dir {{here}}/{made} {how}"


def by_peer(data: str) -> str:
    """Command that renders a list of scenes with Mono2Binaural."""
    return (
        f"DiffBinaural/experiments/render_mono2binaural.py --run {PEER_RUN} --data_root {data} "
        "--list_test train --output_dir {here}/mono2binaural"
    )


def evaluated(
    data: str,
    wavs: dict[str, str],
    mels: dict[str, str] | None = None,
    anchors: bool = True,
    geometry: bool = False,
) -> tuple[str, ...]:
    """Commands that write metrics.json.  wavs, mels: system -> folder; geometry: also that anchor"""
    truth = (
        f"{'' if anchors else '--no-anchors '}--gt_dir {data}/processed/binaural_audios_22050Hz "
        f"--mono_dir {data}/processed/mono_audios_22050Hz --output_json {{here}}"
    )
    compare_wavs = (
        f"DiffBinaural/evaluate_binaural_22050.py {truth}/metrics.json "
        f"{f'--data_root {data} ' if geometry else ''}"
        f"--pred_dir {' '.join(f'{name}={folder}' for name, folder in wavs.items())}"
    )
    if not mels:
        return (compare_wavs,)
    compare_mels = (
        f"DiffBinaural/evaluate_mel_spectrogram_rmse.py {truth}/mels.json "
        f"--pred_dir {' '.join(f'{name}={folder}' for name, folder in mels.items())}"
    )
    return compare_mels, f"{compare_wavs} --merge_json {{here}}/mels.json"


def quality(sources: int, room: str, bystanders: bool = False) -> Experiment:
    """The bundled models on 20 new scenes of one kind: by the renderers, with detections or whole frames.

    bystanders  also one or two objects that are seen and silent; the detections say how likely each sounds
    """
    data, levelled = "{here}/data", "--renderer levelled"
    seed, seen = (94, " --bystanders 1..2 --sounding --video_fps 25") if bystanders else (f"9{sources}", "")
    systems = {
        "levelled": ("mels", levelled),
        "levelled_whole": ("whole_mels", levelled),
        "wiener": ("mels", "--renderer wiener"),
        "vocoder": ("mels", "--checkpoint_file weights/vocoder/g_best.pth"),
    }
    return Experiment(
        "quality",
        f"{sources} source{'s' * (sources > 1)}, {'bystanders, ' * bystanders}{room.replace('-', ' ')}",
        (
            # nothing is trained on these datasets: their largest list, train, is the test list
            f"{SIMULATE} --clips 22 --held_out 1 --seed {seed} --sources {sources} --{room}{seen}",
            stage1(data, "mels"),
            stage1(data, "whole_mels", "--no-detections"),
            *(rendered(data, f"{{here}}/{mels}", name, how) for name, (mels, how) in systems.items()),
            "BigVGAN/inference_binaural.py --renderer mono_phase "
            f"--input_wavs_dir {data}/processed/binaural_audios_22050Hz --list {data}/splits/train.csv "
            "--output_dir {here}/ceiling",
            by_peer(data),
            *evaluated(
                data,
                {name: f"{{here}}/{name}" for name in (*systems, "mono2binaural", "ceiling")},
                {"levelled": "{here}/mels", "levelled_whole": "{here}/whole_mels"},
                geometry=True,
            ),
        ),
    )


def chosen_sounds(sounds: str) -> str:
    """Command that copies sounds of the kit's corpus, named as choose_sounds.py takes them."""
    return (
        "DiffBinaural/experiments/choose_sounds.py "
        f"--corpus {KIT_CORPUS} --take {sounds} --output_dir {{here}}/sounds"
    )


def sounds_of_kit(sounds: str) -> tuple[str, ...]:
    """The files and folders that :func:`chosen_sounds` needs, and no experiment makes."""
    return tuple(f"{KIT_CORPUS}/sounds/{name}" for name in sounds.split())


def copy_synthesis(data: str) -> str:
    """Command of copy synthesis of a list of scenes, by the bundled vocoder."""
    return (
        "BigVGAN/inference_binaural.py --checkpoint_file weights/vocoder/g_best.pth "
        f"--input_wavs_dir {data}/processed/binaural_audios_22050Hz --list {data}/splits/train.csv "
        "--output_dir {here}/copy_synthesis"
    )


def general(change: str, words: str = "", sounds: str = "") -> Experiment:
    """The shipped models on one source in a room, with one condition changed from the training.

    With recorded sounds, also copy synthesis by the bundled vocoder.

    words   of simulate_dataset.py
    sounds  of the kit's corpus, in place of built-in ones
    """
    data, words = "{here}/data", words if "--sources" in words else f"--sources 1 {words}"
    words += " --audio_dir {here}/sounds" if sounds else ""
    systems = ("wiener", "copy_synthesis") if sounds else ("wiener",)
    return Experiment(
        "general",
        change,
        (
            *([chosen_sounds(sounds)] if sounds else []),
            f"{SIMULATE} --clips 14 --held_out 1 --seed 97 {words}",
            stage1(data, "mels"),
            rendered(data, "{here}/mels", "wiener", "--renderer wiener"),
            *([copy_synthesis(data)] if sounds else []),
            *evaluated(data, {name: f"{{here}}/{name}" for name in systems}),
        ),
        requires=sounds_of_kit(sounds),
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
    """A small stage 1, trained with one change, on the test list."""
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
            stage1(
                SCENES,
                "mels",
                f"--seed {{seed}} {sampling}",
                " ".join("{here}/" + run for run in runs.values()),
                "test",
            ),
            rendered(SCENES, "{here}/mels", "wavs", how),
            *evaluated(SCENES, {"model": "{here}/wavs"}, {"model": "{here}/mels"}, anchors),
        ),
        **about,
    )


def vocoder(row: str, *changed: tuple[str, object], anchors: bool = False, **about) -> Experiment:
    """A small vocoder, trained with one change; copy synthesis of the test list."""
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
            *evaluated(SCENES, {"model": "{here}/wavs"}, anchors=anchors),
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
    """The small vocoder with further training, applied to stage 1's mels of the test list."""
    return Experiment(
        "parts",
        row,
        (
            f"BigVGAN/{script}.py {VOCODER_DATA} --checkpoint_path {{here}}/vocoder "
            "--init_from {root}/parts/vocoder/vocoder --training_steps {steps_2b} "
            f"--validation_interval {{steps_2b}} --seed {{seed}} {words}",
            # the last, not the best: the two sides would select theirs on different mels
            rendered(
                SCENES, "{root}/parts/all/mels", "wavs", "--checkpoint_file {here}/vocoder/g_{steps_2b:0>8}"
            ),
            *evaluated(SCENES, {"model": "{here}/wavs"}, anchors=anchors),
        ),
        settings=(),
        **about,
    )
