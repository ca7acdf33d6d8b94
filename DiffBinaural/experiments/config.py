"""Settings of the experiments."""

from dataclasses import dataclass
from typing import Literal

from DiffBinaural.configs.fields import DEVICE_HELP, SEED_HELP, option, positive, required
from DiffBinaural.detection.voice import FITTED
from DiffBinaural.heads.named import HEAD_HELP


@dataclass(frozen=True, kw_only=True)
class ResultsConfig:
    """The experiments behind RESULTS.md."""

    only: tuple[str, ...] = option(
        (),
        "tables (quality, parts, steps, positions, general, anchors, kit, speed) or "
        "<table>/<row>, with everything that they need; default: all",
    )
    run: bool = option(True, "run experiments; --no-run: make the pages from docs/results.json alone")
    scale: Literal["small", "base"] = option(
        "small",
        "small: 2 cores, minutes each, RESULTS.md and docs/; "
        "base: a GPU, hours each, RESULTS_base.md and docs/base/",
    )
    output_dir: str | None = option(
        None,
        "folder inside the project for the experiments' output; finished "
        "experiments are not run again. Default: generated/results, or …_base",
    )


@dataclass(frozen=True, kw_only=True)
class StepsConfig:
    """Quality and time against the number of denoising steps."""

    run: str = required("stage-1 run folder")
    data_root: str = required("dataset folder")
    output_dir: str = required("folder for steps.json and steps.png")
    list_test: str = option("test", "list to generate: a name in <data_root>/splits, or a CSV file")
    steps: tuple[int, ...] = option((1, 2, 4, 6, 8, 12, 16, 25, 50), "numbers of steps")
    samplers: tuple[str, ...] = option(("ddim", "dpm++"), "ddim, ddpm, dpm++")
    limit: int = option(20, "clips of the list")
    device: str = option("auto", DEVICE_HELP)
    seed: int = option(0, SEED_HELP)

    def __post_init__(self):
        positive(self, "limit")
        if unknown := sorted(set(self.samplers) - {"ddim", "ddpm", "dpm++"}):
            raise ValueError(f"--samplers {' '.join(unknown)}: expected of ddim, ddpm, dpm++")


@dataclass(frozen=True, kw_only=True)
class SplitsConfig:
    """Metrics of FAIR-Play's splits, averaged."""

    results: str = required("folder with <split>/metrics.json, as evaluate_binaural_22050.py writes them")
    output_json: str | None = option(None, "both families: {title: {system: {metric: figures}}}")


@dataclass(frozen=True, kw_only=True)
class PositionsConfig:
    """Measurements of sounds at given positions."""

    placed: str = required("folder with x_<position>/<video_id>_<ms>.wav, rendered from the mels of a sweep")
    mono_dir: str = required("folder of the mono wavs")
    output_json: str | None = option(None, "every sound at every position")


@dataclass(frozen=True, kw_only=True)
class FilmsConfig:
    """Lists of a simulated dataset's films."""

    data_root: str = required("dataset folder of simulate_dataset.py")
    list_test: str = option("test", "list of its clips: a name in <data_root>/splits, or a CSV file")
    output_dir: str = required("folder for found.csv and true.csv")


@dataclass(frozen=True, kw_only=True)
class ChooseConfig:
    """Some sounds of a corpus."""

    corpus: str = required("folder of gather_corpus.py")
    take: tuple[str, ...] = required("classes, or files <class>/<file>")
    output_dir: str = required("folder for <class>/<file>")


@dataclass(frozen=True, kw_only=True)
class MirrorConfig:
    """A video with its mirror image."""

    input_video: str = required("the video")
    output_dir: str = required("folder for both")


@dataclass(frozen=True, kw_only=True)
class CuesConfig:
    """Interaural cues of sounds, second by second."""

    wavs: tuple[str, ...] = required("binaural wavs, NAME=FILE")
    output_json: str | None = option(None, "{name: {cue: a value for each second, null where all is silent}}")

    def __post_init__(self):
        if wrong := next((word for word in self.wavs if not all(word.partition("="))), None):
            raise ValueError(f"--wavs {wrong}: expected NAME=FILE")

    @property
    def files(self) -> dict[str, str]:
        """Names with their files."""
        return dict(word.split("=", 1) for word in self.wavs)


@dataclass(frozen=True, kw_only=True)
class VoiceConfig:
    """The fit of what tells voices from other sounds."""

    corpus: str = required("folder that `make corpus` made: sounds/<class>/, where voices are sounds/person/")
    held_out: str = required("another, whose sounds are in neither: PURPOSE=test")
    output: str = option(str(FITTED), "file of the coefficients")
    seed: int = option(0, SEED_HELP)


@dataclass(frozen=True, kw_only=True)
class EarsCheckConfig:
    """How often the ear check is right on a simulated dataset."""

    data_root: str = required("dataset folder of simulate_dataset.py")
    head: str | None = option(None, f"the head that the check assumes, {HEAD_HELP}; default: the dataset's")
    output_json: str | None = option(None, "{sound: {verdict: count}}")
    seed: int = option(0, SEED_HELP)
