"""A mono sound and a video in, binaural sound out, of any length:

python BigVGAN/inference_e2e.py --input_wav mono.wav --input_video clip.mp4 --run checkpoints/first \\
    --checkpoint_file checkpoints/vocoder_both/g_best.pth --output out.wav --mux out.mp4
"""

import math
import sys
from dataclasses import replace
from functools import partial

import torch
from tqdm import tqdm

from BigVGAN.batch import checked_outputs, each, try_track, with_track
from BigVGAN.bigvgan import BigVGAN, wanted_generator
from BigVGAN.settings import E2EConfig, chosen_renderer
from BigVGAN.synthesis import to_sound
from DiffBinaural.inference.loading import load_models
from DiffBinaural.streaming import (
    AudioSource,
    StageTimer,
    VideoSource,
    binaural,
    expected_steps,
    length_notice,
)
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import write_wav_blocks
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.mel_files import same_mel
from DiffBinaural.utils.plots import Columns, draw_generated


def convert(models: list, vocoder: BigVGAN | None, cfg: E2EConfig) -> None:
    """One video: write --output with as many samples as its sound has, and what --mux and --plot ask for."""
    checked_outputs(cfg)
    mel, end = models[0].cfg.mel, math.inf if cfg.end is None else cfg.end
    phases, columns, phase = StageTimer(), Columns(), "vocoding" if vocoder else "rendering"
    sound = AudioSource(cfg.input_wav or cfg.input_video, cfg.start, end, mel.sample_rate)
    view = VideoSource(cfg.input_video, cfg.start, end, cfg.fps, cfg.fov)
    if cfg.mux:
        try_track(cfg, mel.sample_rate)
    steps = expected_steps(sound.expected, cfg, models[0].cfg, len(models))
    with (
        tqdm(total=steps, desc="generating", unit="step", leave=False) as made,
        tqdm(total=sound.expected or None, desc=phase, unit="sample", leave=False, position=1) as out,
        replacing(cfg.output) as part,
    ):

        def blocks():
            for block in binaural(models, sound, view, cfg, cfg.detections, phases, made.update):
                if cfg.plot:
                    columns.add(torch.cat([block.mono_mel, block.mel]))
                yield block.mono[0], torch.cat([block.mel, block.phasor])

        def trimmed():
            for wav in phases.timed(phase, to_sound(vocoder, blocks(), cfg, mel)):
                yield wav[:, : sound.samples - out.n]
                out.update(min(wav.shape[1], sound.samples - out.n))

        write_wav_blocks(part, trimmed(), mel.sample_rate)
    if cfg.mux:
        with phases("muxing"), replacing(cfg.mux) as part:
            with_track(cfg, cfg.output, mel.sample_rate, part, start=cfg.start, end=end)
    if cfg.plot:
        draw_generated(cfg.plot, columns, mel)
    notice = length_notice(sound.samples / mel.sample_rate, view.seconds())
    print(
        *[notice] * bool(notice),
        phases.summary(cfg.output, sound.samples, mel.sample_rate),
        sep="\n",
        file=sys.stderr,
    )


def main(cfg: E2EConfig) -> None:
    """Convert a video, or all of a batch with the models loaded once."""
    models = load_models(cfg.run, pick_device(cfg.device))
    cfg = replace(cfg, renderer=chosen_renderer(cfg, models[0].phase))
    vocoder, mel = wanted_generator(cfg)
    if vocoder:
        same_mel(mel, models[0].cfg.mel, str(cfg.checkpoint_file))
    each(cfg, partial(convert, models, vocoder))


if __name__ == "__main__":
    run(main)
