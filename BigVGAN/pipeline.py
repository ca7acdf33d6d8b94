"""Mono sound with its video in, binaural sound out.

>>> pipe = Pipeline.from_pretrained()                       # doctest: +SKIP
>>> binaural = pipe("mono.wav", "clip.mp4")                 # doctest: +SKIP
>>> pipe.convert("mono.wav", "clip.mp4", output="out.wav")  # doctest: +SKIP
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from BigVGAN.batch import check_outputs, check_track, write_track
from BigVGAN.bigvgan import BigVGAN, hub_file, wanted_generator
from BigVGAN.request import AUTO, NO_DETECTIONS, E2EConfig, check_vocoder, chosen_renderer, middle_notice
from BigVGAN.synthesis import make_renderer
from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.dataset.trajectories import read_trajectory, write_trajectory
from DiffBinaural.detection.finding import SourceFinder
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.audio_source import AudioSource, own_rate
from DiffBinaural.inference.full_band import FullBand
from DiffBinaural.inference.geometry import FADE, GeometrySampler, in_the_middle
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.overview import draw_overview
from DiffBinaural.inference.remarks import length_notice, loudness_notice
from DiffBinaural.inference.rendering import GEOMETRY
from DiffBinaural.inference.sampler import Sampler
from DiffBinaural.inference.timer import StageTimer
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.inference.windows import WindowCutter
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.audio import WavWriter, usual_rate
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.mel import frame_times
from DiffBinaural.utils.mel_files import same_mel
from DiffBinaural.utils.mel_stream import Columns
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.source_plots import FilmStrip

GENERATOR = "vocoder/g_best.pth"
STAGE_1 = ("stage1/config.json", "stage1/unet_best.pth", "stage1/frame_best.pth")
HUB_FILES = (*STAGE_1, "vocoder/config.json", GENERATOR)
FIXED = ("run", "checkpoint_file", "renderer", "device", "amp")  # options that a pipeline keeps


class Rendered(NamedTuple):
    """Successive mel frames of a clip, with their sound."""

    wav: Tensor  # (2, n) samples, left first
    mono_mel: Tensor  # (1, M, T) nepers


class Pipeline:
    """A trained stage 1 with a renderer.

    models   one of both ears, or one of each, left first; none for --renderer geometry
    vocoder  None with a renderer on the mono's phase
    cfg      how to render, and defaults of all that may change from clip to clip
    """

    def __init__(self, models: list[BinauralModel], vocoder: BigVGAN | None, cfg: E2EConfig):
        self.models, self.vocoder, self.cfg = models, vocoder, cfg
        trained = models[0].cfg if models else TrainConfig(id="", data_root="")
        self.mel, self.view = trained.mel, trained.view
        self.sample_rate = self.mel.sample_rate  # Hz of the models

    @classmethod
    def from_config(cls, cfg: E2EConfig) -> "Pipeline":
        """The pipeline that a command line describes.  Raises ValueError where its parts do not fit."""
        if cfg.renderer == GEOMETRY:
            return cls([], None, cfg)
        device = pick_device(cfg.device)
        models = load_models(cfg.run, device, amp=cfg.amp)
        cfg = replace(cfg, renderer=chosen_renderer(cfg, models[0].predicts_phasor))
        vocoder, mel = wanted_generator(cfg)
        if vocoder:
            same_mel(mel, models[0].cfg.mel, str(cfg.checkpoint_file))
        return cls(models, vocoder, cfg)

    @classmethod
    def from_pretrained(cls, source: str | Path = BUNDLED, **options) -> "Pipeline":
        """A pipeline with trained weights: by default those that come with the project.

        source   a folder with stage1/ and vocoder/, a run folder of stage 1, or a repository of the Hugging
                 hub (owner/name) that holds stage1/ and vocoder/
        options  of inference_e2e.py: renderer="vocoder", checkpoint_file=…, device="cpu" …
        """
        folder = Path(source)
        if not folder.is_dir():
            files = [hub_file(str(source), name) for name in HUB_FILES]  # of one snapshot
            folder = files[0].parents[1]
        run = folder / "stage1" if (folder / "stage1").is_dir() else folder
        if (folder / GENERATOR).is_file():
            options = {"checkpoint_file": str(folder / GENERATOR), **options}
        return cls.from_config(E2EConfig(run=(str(run),), input_video="", output="", **options))

    def __call__(self, wav: str | Path | None, video: str | Path, **options) -> np.ndarray:
        """The binaural sound (2, N) float32 at output_rate, default: `sample_rate`; as long as the mono.

        wav      sound file; None takes the video's own sound
        video    video file, or a folder of images
        options  of inference_e2e.py: detections=…, start=…, end=…, fov=…, output_rate=…, strength=…
        """
        cfg = self._request(wav, video, **options)
        cfg = replace(cfg, output_rate=cfg.output_rate or self.sample_rate)  # an array does not tell it
        return torch.cat([block.wav for block in self.run(*self.sources(cfg), cfg)], dim=-1).cpu().numpy()

    def convert(
        self,
        wav: str | Path | None,
        video: str | Path,
        *,
        output: str | Path,
        mux: str | Path = "",
        **options,
    ) -> None:
        """Write the binaural sound as a wav, by default at the sample rate of the mono sound.

        wav, video, options  as of :meth:`__call__`; also plot="mels.png", mux_codec="flac"
        mux                  also write the video with the new sound to this file
        """
        self.convert_request(self._request(wav, video, output=str(output), mux=str(mux) or None, **options))

    def convert_request(self, cfg: E2EConfig) -> None:
        """Convert one video: write what the request names, then a line about it to stderr."""
        check_outputs(cfg)
        audio, video = self.sources(cfg)
        if cfg.mux:
            check_track(cfg, audio.output_rate)
        timer, columns, name = StageTimer(), Columns(), Path(cfg.output).name
        for line in (*audio.notices, *video.notices):
            print(line, file=sys.stderr)
        video.strip = FilmStrip() if cfg.plot else None
        with (
            Progress(total=audio.expected or None, desc=name, unit="sample", leave=False) as bar,
            replacing(cfg.output) as part,
            WavWriter(part, audio.output_rate, limit=cfg.limit, name=cfg.output) as out,
        ):
            for block in self.run(audio, video, cfg, timer):
                out.write(block.wav.cpu().numpy())
                bar.update(block.wav.shape[1])
                if cfg.plot:
                    columns.add(block.mono_mel)
        if notice := loudness_notice(cfg.output, out.gain, cfg.limit):
            print(notice, file=sys.stderr)
        if cfg.mux:  # players clip: there it always fits
            span = dict(start=cfg.start, end=cfg.until, gain=1.0 if cfg.limit else out.gain)
            with timer("muxing"), replacing(cfg.mux) as part:
                write_track(cfg, cfg.output, audio.output_rate, part, **span)
        if cfg.plot:
            with timer("plot"):
                draw_overview(cfg.plot, columns, cfg.output, video, audio.seconds, self.mel)
        if notice := length_notice(audio.seconds, video.seconds(), len(video.images)):
            print(notice, file=sys.stderr)
        if cfg.trajectory:
            with replacing(cfg.trajectory) as part:
                write_trajectory(part, video.whereabouts())
        if video.finder:
            timer.seconds["finding sources"] = video.finder.seconds
            print(video.sources.sentence(), file=sys.stderr)
        elif notice := middle_notice(cfg, self.cfg.renderer, video.trajectory):
            print(notice, file=sys.stderr)
        how = f"renderer {self.cfg.renderer}" + (f", head {cfg.head}" if self.uses_head else "")
        print(timer.summary(cfg.output, audio.samples, audio.output_rate, how), file=sys.stderr)

    def run(
        self, audio: AudioSource, video: VideoFrames, cfg: E2EConfig, timer: StageTimer | None = None
    ) -> Iterator[Rendered]:
        """The loop: sources, windows, denoising, rendering, block by block in bounded memory."""
        timer, name = timer or StageTimer(), self.cfg.renderer
        seconds = self.view.window * (self.mel.hop / self.sample_rate)  # of a window
        windows = WindowCutter(self.mel, self.view.window, video.start)
        head = head_named(cfg.head)
        samplers = [Sampler(model, cfg, head) for model in self.models]
        samplers = samplers or [GeometrySampler(self.mel, head)]
        how = dict(exact_downmix=cfg.exact_downmix, microphone=cfg.by_microphone(name), strength=cfg.strength)
        renderer = make_renderer(name, self.mel, self.vocoder, head=cfg.head, amp=self.cfg.amp, **how)
        carried = audio.output_rate != self.sample_rate
        full_band = FullBand(self.mel, audio.output_rate, name, head, **how) if carried else None
        device, written, last, frames = pick_device(self.cfg.device), 0, False, 0
        while not last:
            with timer("reading"):
                samples, last = audio.read()
                if video.finder:
                    video.finder.hear(samples[0].numpy())
                batches = windows.push(samples, last=last)
            for batch in batches:
                with timer("pictures"):
                    visual = video.scene(batch.times, seconds)
                with timer("denoising"):
                    made = torch.cat([sampler.push(batch, visual) for sampler in samplers])
                mono, mono_mel = windows.take(made.shape[-1])
                made = made[..., : mono_mel.shape[-1]]  # a clip shorter than a window was padded
                with timer(name):
                    times = frame_times(video.start, frames, made.shape[-1], self.mel)
                    frames += made.shape[-1]
                    places = video.directions(times) if self.uses_head else None
                    if video.may_show_nothing:
                        made = in_the_middle(made, mono_mel, video.present(times, FADE // 2))
                    wav = renderer.push(mono.to(device), made.to(device), places, last=batch.last)
                    if full_band:
                        whole = audio.whole.take()
                        wav = full_band.push(whole, mono, wav.cpu(), made, places, last=batch.last)
                wav = wav[:, : audio.samples - written]  # without the silence that filled the last frame
                written += wav.shape[1]
                wav = wav if audio.gain == 1 else wav / audio.gain
                yield Rendered(wav, mono_mel - np.log(audio.gain))

    @property
    def uses_head(self) -> bool:
        """Whether the listener's head is an input; other models know the one that they were trained with."""
        return not self.models or self.models[0].slots > 0

    def _check_head(self, cfg: E2EConfig) -> None:
        if not self.uses_head and cfg.head != E2EConfig.head:
            raise ValueError(
                f"--head {cfg.head}: {self.cfg.run[0]} was trained without --direct_path, for one head; "
                "leave it out, or use --renderer geometry"
            )

    def sources(self, cfg: E2EConfig) -> tuple[AudioSource, VideoFrames]:
        """A request's sound and pictures, open to be read."""
        self._check_head(cfg)
        sound = cfg.input_wav or cfg.input_video
        if self.vocoder:
            check_vocoder(cfg, self.sample_rate)
        own = self.sample_rate if self.vocoder else own_rate(sound, cfg.audio_track)
        rate = cfg.output_rate or usual_rate(own)
        audio = AudioSource(sound, cfg.start, cfg.until, self.sample_rate, cfg.audio_track, rate)
        options: dict = dict(start=cfg.start, end=cfg.until, fps=cfg.fps, fov=cfg.fov)
        if cfg.trajectory_in:
            options["trajectory"] = read_trajectory(cfg.trajectory_in)
        elif cfg.detections == AUTO:
            options["finder"] = SourceFinder(cfg.detector, self.sample_rate, begin=cfg.start)
        elif cfg.detections != NO_DETECTIONS:
            options["detections"] = cfg.detections
        return audio, VideoFrames(cfg.input_video, self.view, **options)

    def _request(self, wav: str | Path | None, video: str | Path, **options) -> E2EConfig:
        if fixed := [name for name in options if name in FIXED]:
            raise ValueError(f"{fixed[0]} cannot change from clip to clip; give it to from_pretrained")
        return replace(self.cfg, input_wav=wav and str(wav), input_video=str(video), **options)
