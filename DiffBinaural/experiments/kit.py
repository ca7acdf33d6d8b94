"""Recipes of the kit: real pictures with real sounds, through measured heads, so that the truth is known."""

from DiffBinaural.experiments.recipes import (
    KIT_CORPUS,
    SIMULATE,
    by_peer,
    chosen_sounds,
    evaluated,
    sounds_of_kit,
)
from DiffBinaural.experiments.registry import Experiment

HEADS = "data/heads"  # SOFA files that a user puts there
MATERIAL = tuple(f"{KIT_CORPUS}/{folder}" for folder in ("cutouts", "backgrounds"))
SPEAKER = "person/talking_speaker.wav"
# classes with sounds and pictures that the detector knows
ANIMALS_VEHICLES = "bear bird car cat cow dog elephant horse sheep train truck zebra"
FOUND, TRUE = ("--input_video {here}/films/" + f"{name}.csv" for name in ("found", "true"))
SYSTEMS = {
    "model_auto": f"{FOUND} --renderer levelled",
    "model_true": f"{TRUE} --renderer levelled",
    "model_none": f"{FOUND} --renderer levelled --detections none",
    "geometry_auto": f"{FOUND} --renderer geometry",
    "geometry_true": f"{TRUE} --renderer geometry",
}
CONVERT = "BigVGAN/inference_e2e.py"
TOLD = "told"  # geometry at the place where the speaker is seen
VIDEO_ROW = "talking video"


def film_commands(sounds: str, words: str, head: str, clips: int) -> tuple[str, ...]:
    """Commands that make scenes of one source with up to two bystanders, and the lists of their films.

    sounds  of the corpus, as choose_sounds.py takes them
    words   of simulate_dataset.py
    clips   scenes, of which two are left over
    """
    return (
        chosen_sounds(sounds),
        f"{SIMULATE} --clips {clips} --held_out 1 --sources 1..1 --bystanders 0..2 "
        f"--audio_dir {{here}}/sounds --cutouts {MATERIAL[0]} --backgrounds {MATERIAL[1]} "
        f"--frame_size 480x270 --video_fps 25 --fov 60..90 --head {head} {words}",
        "DiffBinaural/experiments/list_films.py --data_root {here}/data --list_test train "
        "--output_dir {here}/films",
    )


def material(sounds: str) -> tuple[str, ...]:
    """What :func:`film_commands` needs, and no experiment makes."""
    return (*sounds_of_kit(sounds), *MATERIAL)


def kit_scenes(row: str, sounds: str, words: str, head: str = "kemar", clips: int = 11) -> Experiment:
    """Scenes of :func:`film_commands`, converted as anybody's videos; head: theirs, given to all systems."""
    return Experiment(
        "kit",
        row,
        (
            *film_commands(sounds, words, head, clips),
            *(f"{CONVERT} {how} --head {head} --output {{here}}/{name}" for name, how in SYSTEMS.items()),
            by_peer("{here}/data"),
            *evaluated("{here}/data", {name: f"{{here}}/{name}" for name in (*SYSTEMS, "mono2binaural")}),
        ),
        requires=(*material(sounds), *([head] if head.endswith(".sofa") else [])),
    )


def talking_video() -> Experiment:
    """Cues over time of the talking video, of its mirror image, and of geometry told where the speaker is."""
    sides = {"": "talking", "_mirrored": "talking_mirrored"}
    renderers = {"model": "levelled", "geometry": "geometry"}
    wavs = [f"{name}{side}={{here}}/{name}/{film}.wav" for name in renderers for side, film in sides.items()]
    return Experiment(
        "kit",
        VIDEO_ROW,
        (
            "DiffBinaural/experiments/mirror_video.py --input_video examples/talking.mp4 "
            "--output_dir {here}/films",
            *(
                f"{CONVERT} --input_video {{here}}/films --fov 60 --renderer {how} --output {{here}}/{name}"
                for name, how in renderers.items()
            ),
            f"{CONVERT} --input_video examples/talking.mp4 --trajectory_in examples/speaker.csv --fov 60 "
            f"--renderer geometry --output {{here}}/{TOLD}.wav",
            f"DiffBinaural/experiments/evaluate_cues.py --wavs {TOLD}={{here}}/{TOLD}.wav {' '.join(wavs)} "
            "--output_json {here}/cues.json",
        ),
    )


KIT = (
    kit_scenes("talking man, no room", SPEAKER, "--no-room --seed 241"),
    kit_scenes("talking man, room", SPEAKER, "--room --seed 241"),
    kit_scenes("animals and vehicles, no room", ANIMALS_VEHICLES, "--no-room --seed 242"),
    kit_scenes("animals and vehicles, room", ANIMALS_VEHICLES, "--room --seed 242"),
    *(
        kit_scenes(
            f"talking man, {name}, half in rooms",
            SPEAKER,
            f"--room --dry_fraction 0.5 --seed {seed}",
            f"{HEADS}/{file}",
            clips=8,
        )
        for name, file, seed in (
            ("ARI nh898", "hrtf_c_nh898.sofa", 243),
            ("KU100", "FHK_HRIR_L2354.sofa", 244),
        )
    ),
    talking_video(),
)
