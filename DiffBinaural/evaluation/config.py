"""Settings of the evaluate scripts."""

from dataclasses import dataclass

from DiffBinaural.configs.fields import option, positive, required


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Predictions against the truth."""

    pred_dir: tuple[str, ...] = required("folder of predictions; NAME=DIR adds a system to compare")
    gt_dir: str = required("truth: folder of stereo wavs (or, for mels, of mel pairs)")
    mono_dir: str | None = option(None, "mono wavs for the mono copy; default: (L+R)/2 of the truth")
    anchors: bool = option(True, "measure mono copy, swapped ears and, of wavs, the oracle too")
    output_csv: str | None = option(None, "every clip, every system")
    output_json: str | None = option(None, "the table and every clip")


@dataclass(frozen=True, kw_only=True)
class EvaluateMelConfig(EvaluateConfig):
    """Mel pairs against the truth."""

    plot: str | None = option(None, "picture of the error over frequency, of each system and ear: a PNG")


@dataclass(frozen=True, kw_only=True)
class EvaluateWavConfig(EvaluateConfig):
    """Binaural wavs against the truth."""

    pred_dir_b: str | None = option(
        None,
        "predictions to compare with the first folder's, clip by clip: DIR (the system model_b) or NAME=DIR",
    )
    plots: str | None = option(None, "folder for pictures of ITD and ILD over time, <system>/<clip>.png")
    merge_json: str | None = option(None, "JSON of the other evaluate script, to join the table and the JSON")
    report: str | None = option(None, "listening page: one HTML file, with sounds and pictures in it")
    report_clips: int = option(
        50, "clips on the page, evenly from all; each takes about 0.1 MB a second and system"
    )
    workers: int = option(0, "processes; 0 takes one a core; the figures do not depend on it")
    seed: int = option(0, "of the resampling behind --pred_dir_b's intervals")

    def __post_init__(self):
        positive(self, "report_clips")
        if self.workers < 0:
            raise ValueError(f"--workers is {self.workers}; give 0 for one a core, or more")

    @property
    def systems(self) -> tuple[str, ...]:
        """All folders to measure, in the words of --pred_dir."""
        b = self.pred_dir_b
        return (*self.pred_dir, *([b if "=" in b else f"model_b={b}"] if b else []))
