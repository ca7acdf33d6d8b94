"""Settings of the evaluate scripts."""

from dataclasses import dataclass

from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.evaluation.metrics import METRICS

METRICS_HELP = "metrics to print, or all; files always hold all"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Comparison of predictions with the truth."""

    pred_dir: tuple[str, ...] = required("folder of predictions; NAME=DIR adds a system to compare")
    gt_dir: str = required("truth: folder of stereo wavs (or, for mels, of mel pairs)")
    mono_dir: str | None = option(None, "mono wavs for the mono copy; default: (L+R)/2 of the truth")
    anchors: bool = option(True, "also measure the mono copy, swapped ears and, of wavs, the oracle")
    output_csv: str | None = option(None, "CSV with one row per clip and system")
    output_json: str | None = option(None, "JSON with the table and every clip")
    metrics: tuple[str, ...] = option(("all",), METRICS_HELP)

    def __post_init__(self):
        if unknown := sorted(set(self.metrics) - {*METRICS, "all"}):
            raise ValueError(f"--metrics {' '.join(unknown)}: expected all or any of {', '.join(METRICS)}")

    @property
    def printed(self) -> tuple[str, ...]:
        """Names of the metrics to print."""
        return tuple(METRICS) if "all" in self.metrics else self.metrics


@dataclass(frozen=True, kw_only=True)
class EvaluateMelConfig(EvaluateConfig):
    """Comparison of mel pairs with the truth."""

    metrics: tuple[str, ...] = option(
        ("mel_rmse", "mel_ild_error", "mel_rmse_left", "mel_rmse_right"), METRICS_HELP
    )
    plot: str | None = option(None, "PNG of the error over frequency, for each system and ear")
    reliability: str | None = option(
        None, "PNG of the predicted coherence between the ears against the true agreement; needs phasors"
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateWavConfig(EvaluateConfig):
    """Comparison of binaural wavs with the truth."""

    metrics: tuple[str, ...] = option(("stft", "env", "itd_error", "ild_error", "mrstft"), METRICS_HELP)
    pred_dir_b: str | None = option(
        None,
        "predictions to compare with the first folder's, clip by clip: DIR (the system model_b) or NAME=DIR",
    )
    plots: str | None = option(None, "folder for plots of ITD and ILD over time, <system>/<clip>.png")
    data_root: str | None = option(
        None,
        "dataset of the clips: its detections give the anchor `geometry`, the mono filtered by the sources' "
        "directions; default: no such anchor",
    )
    merge_json: str | None = option(None, "JSON of the other evaluate script, merged into this one's results")
    report: str | None = option(None, "listening page: one HTML file with sounds and spectrograms")
    report_clips: int = option(
        50, "number of clips on the page, evenly chosen; each takes about 0.1 MB per second and system"
    )
    workers: int = option(0, "number of processes; 0: one per core; the figures do not depend on it")
    seed: int = option(0, "seed of the resampling for the intervals of --pred_dir_b")

    def __post_init__(self):
        super().__post_init__()
        positive(self, "report_clips")
        if self.workers < 0:
            raise ValueError(f"--workers is {self.workers}; expected 0 (one per core) or more")

    @property
    def systems(self) -> tuple[str, ...]:
        """All folders to measure, in the syntax of --pred_dir."""
        b = self.pred_dir_b
        return (*self.pred_dir, *([b if "=" in b else f"model_b={b}"] if b else []))
