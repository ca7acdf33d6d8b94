"""The check of two channels, from files to verdicts."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.audio_source import RESAMPLED_SECONDS, own_rate
from DiffBinaural.inference.discovery import search
from DiffBinaural.inference.ear_films import AUTO, EarFilm, EarsConfig, ear_films
from DiffBinaural.inference.ears import SLOTS, EarCheck, compare_with_picture
from DiffBinaural.inference.remarks import PICTURE_RATE
from DiffBinaural.inference.video_frames import VideoFrames, images_of
from DiffBinaural.utils.arguments import message_of
from DiffBinaural.utils.audio import Resampler, checked_rate, is_sound_file, wav_blocks
from DiffBinaural.utils.destinations import check_destination, utf8_name
from DiffBinaural.utils.files import write_rows
from DiffBinaural.utils.lens import field_of_view
from DiffBinaural.utils.media import pictures, read_picture, silent_blocks, sound_blocks, sound_delay
from DiffBinaural.utils.progress import Progress

COLUMNS = "video_id,verdict,confidence,agrees,swapped,reason"


def pair_blocks(path: Path, rate: int, track: int | None = None) -> Iterator[Tensor]:
    """A file's sound in blocks (C, n) at `rate` Hz, C = 1 or 2, from the film's beginning on.

    Raises ValueError naming a file that has other channels, is empty or not finite.
    """
    alone = is_sound_file(path)
    own = checked_rate(path, own_rate(path, track), rate)
    resampler = Resampler(own, rate, RESAMPLED_SECONDS)
    sound = wav_blocks(path) if alone else sound_blocks(path, track=track)
    first = next(sound, None)
    if first is None:
        raise ValueError(f"{path}: is empty; expected sound of two channels")
    channels = len(first)
    if channels > 2:
        raise ValueError(f"{path}: has {channels} channels; expected 2, of the left and the right ear")
    lead = 0 if alone else round(sound_delay(path, track) * own)
    for block in chain(silent_blocks(lead, channels), [first], sound):
        if not np.isfinite(block).all():
            raise ValueError(f"{path}: has non-finite values; expected sound")
        yield resampler.push(torch.from_numpy(np.ascontiguousarray(block)))
    yield resampler.push(torch.zeros(channels, 0), last=True)


def checked_film(one: EarFilm, cfg: EarsConfig) -> EarCheck:
    """The verdict on a video."""
    mel = MelConfig()
    blocks = pair_blocks(one.pair, mel.sample_rate, cfg.audio_track)
    first = next(blocks)
    if len(first) == 1:
        return EarCheck("mono", 1.0, 0.0, 0.0, "it has one channel")
    where = partial(_directions, one, cfg)
    return compare_with_picture(chain([first], blocks), where, head_named(one.head), mel)


def _directions(one: EarFilm, cfg: EarsConfig, times: np.ndarray) -> Tensor:
    """Where a video's sources are: as of SourcePaths.directions."""
    if one.detections != AUTO:
        frames = VideoFrames(
            one.film.pictures,
            ViewConfig(slots=SLOTS + 1),
            fps=one.film.fps,
            fov=one.film.fov,
            detections=str(one.detections),
        )
        frames.scene([0.0], 0.1)  # reads the first pictures, for their size
        return frames.paths.directions(times)
    if one.dataset:
        return one.dataset.source_directions(one.film.video_id, SLOTS)(times)
    say = partial(print, file=sys.stderr)
    found = [d for part in search(one.film, cfg.detector, cfg.audio_track, say) for d in part]
    video, fov = one.film.pictures, one.film.fov
    degrees = field_of_view(video)[0] if isinstance(fov, str) else fov
    rate = one.film.fps if video.is_dir() else PICTURE_RATE
    return SourcePaths(found, rate, picture_size(video), degrees, SLOTS).directions(times)


def picture_size(video: Path) -> tuple[int, int]:
    """Width and height in pixels of a video, or of a folder's pictures."""
    if video.is_dir():
        return read_picture(images_of(video)[0]).size
    height, width = next(pictures(video, PICTURE_RATE)).shape[:2]
    return width, height


def check_all_ears(cfg: EarsConfig) -> Iterator[tuple[str, EarCheck]]:
    """Id and verdict of every video, one after the other; those that fail are named and the others go on.

    Raises ValueError at the end if any failed, at once where there is one alone.
    """
    utf8_name(cfg.input)
    if cfg.output:
        check_destination(cfg.output)
    films, rows, failed = ear_films(cfg), [], 0
    for one in Progress(films, desc="checking ears", unit="film", disable=len(films) == 1):
        try:
            check = checked_film(one, cfg)
        except (ValueError, OSError) as error:
            if len(films) == 1:
                raise
            print(f"error: {message_of(error)}", file=sys.stderr)
            failed += 1
            continue
        rows.append((one.film.video_id, *_row(check)))
        yield one.film.video_id, check
    if cfg.output:
        write_rows(cfg.output, COLUMNS, rows)
    if failed:
        raise ValueError(f"{cfg.input}: {failed} of {len(films)} films failed; the others are done")


def _row(check: EarCheck) -> tuple:
    chances = (round(p, 3) for p in (check.confidence, check.agrees, check.swapped))
    return check.verdict, *chances, check.reason
