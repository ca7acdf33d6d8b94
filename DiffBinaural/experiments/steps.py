"""Quality against the number of denoising steps."""

from time import perf_counter

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig
from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.evaluation.aggregation import summary
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.experiments.config import StepsConfig
from DiffBinaural.inference.generation import generate
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.progress import Progress
from DiffBinaural.validation import FIGURES


def steps_figures(model: BinauralModel, test: WholeClips, cfg: StepsConfig) -> tuple[list[dict], list[dict]]:
    """The first clips of a list, generated with every number of steps: means, and the figures of each clip.

    -> rows {"step": steps, "<sampler>/mel_rmse", "<sampler>/mel_ild_error", "<sampler>/seconds a second":
       time to generate a second of sound}, and "mono copy/…" in each;
       clips {"id", "system": "<sampler>, <steps>" or "mono copy", metric: value}
    """
    clips = [test[i] for i in range(min(len(test), cfg.limit))]
    copies = [
        measure(FIGURES, clip["mono_mel"].expand(2, -1, -1), clip["binaural_mel"], test.mel) for clip in clips
    ]
    seconds = sum(clip["mono_mel"].shape[-1] for clip in clips) * test.mel.hop / test.mel.sample_rate
    rows, known = [], _named("mono copy", clips, copies)
    for count in Progress(cfg.steps, desc="sampling"):
        rows.append({"step": count, **_means("mono copy", copies)})
        for sampler in cfg.samplers:
            how = SamplingConfig(sampling_timesteps=count, sampler=sampler, seed=cfg.seed)
            start = perf_counter()
            made = [generate(model, clip, how)[:2] for clip in clips]
            rows[-1][f"{sampler}/seconds a second"] = (perf_counter() - start) / seconds
            figures = [
                measure(FIGURES, mel, clip["binaural_mel"], test.mel)
                for mel, clip in zip(made, clips, strict=True)
            ]
            rows[-1] |= _means(sampler, figures)
            known += _named(f"{sampler}, {count}", clips, figures)
    return rows, known


def _named(system: str, clips: list[dict], figures: list[dict]) -> list[dict]:
    return [{"id": clip["stem"], "system": system, **each} for clip, each in zip(clips, figures, strict=True)]


def _means(system: str, figures: list[dict]) -> dict[str, float]:
    return {f"{system}/{name}": summary([each[name] for each in figures])["mean"] for name in figures[0]}
