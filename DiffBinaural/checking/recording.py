"""The check of one recording."""

import os
import zlib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.checking.remarks import CURES
from DiffBinaural.checking.sounds import middle_part, sound_remarks
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.detections import held_between
from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.channel_pairs import one_sound
from DiffBinaural.inference.ears import SLOTS, compare_with_picture
from DiffBinaural.utils.audio import resample
from DiffBinaural.utils.lists import Detection

PART = 4.0  # seconds of the middle of a recording that are listened to
FEW = 0.5  # of a recording: from its first box to its last one


@dataclass(frozen=True)
class RecordingCheck:
    """What was found of a recording."""

    video_id: str
    stamp: str  # of its files: with another one it is to be checked anew
    remarks: tuple[tuple[str, str], ...]  # kind, reason
    seconds: float = 0.0
    digest: int = 0  # of its mono's middle part

    @classmethod
    def stored(cls, values: dict) -> "RecordingCheck":
        """One that was stored as JSON.  ValueError, LookupError, TypeError for other things."""
        remarks = tuple((str(kind), str(reason)) for kind, reason in values["remarks"])
        if unknown := {kind for kind, _ in remarks} - CURES.keys():
            raise ValueError(f"kinds {', '.join(unknown)} are not known")
        numbers = float(values["seconds"]), int(values["digest"])
        return cls(str(values["video_id"]), str(values["stamp"]), remarks, *numbers)


@lru_cache(maxsize=1)
def _opened(root: Path, changed: int) -> Recordings:
    """A dataset, its facts read and checked once a process: they may name a head for each of its recordings.

    changed  time of its dataset.json
    """
    return Recordings(root, detections=False)


@dataclass(frozen=True)
class RecordingChecker:
    """Checks recordings of a dataset folder; sent to worker processes.

    ears  also compare the two channels with the detections
    head  name of the listener's head; None: that of the dataset
    """

    root: Path
    ears: bool
    head: str | None = None

    def __call__(self, item: tuple[str, list[Detection]]) -> RecordingCheck:
        """Check a recording by its id, with its rows of the table of detections."""
        video_id, rows = item
        recordings = copy(_opened(self.root, (self.root / "dataset.json").stat().st_mtime_ns))
        recordings.folders, recordings.detections = {}, {video_id: held_between(rows, recordings.fps)}
        stamp, seconds, digest = stamp_of(recordings, video_id, rows), 0.0, 0
        remarks: list[tuple[str, str]] = []
        try:
            for path in (recordings.sound_file(video_id, 1), recordings.frames(video_id)):
                if not path.exists():
                    raise FileNotFoundError(f"{path}: missing")
            seconds = recordings.check_recording(video_id)
            mono, rate, first = middle_part(recordings.sound_file(video_id, 1), PART)
            digest = zlib.crc32(mono.tobytes()) if mono.any() else 0
            remarks += box_remarks(rows, seconds)
            if recordings.has_ears(video_id):
                pair, _, _ = middle_part(recordings.sound_file(video_id, 2), PART)
                remarks += self._heard(recordings, video_id, (mono, pair), rate, first)
        except (ValueError, OSError) as error:
            remarks.append(("unusable", str(error)))
        return RecordingCheck(video_id, stamp, tuple(remarks), seconds, digest)

    def _heard(
        self,
        recordings: Recordings,
        video_id: str,
        sounds: tuple[np.ndarray, np.ndarray],
        rate: int,
        first: float,
    ) -> Iterator[tuple[str, str]]:
        """What is wrong with its sounds (1, N), (2, N), which begin at `first` s."""
        mono, pair = sounds
        if len(mono) != 1 or len(pair) != 2:
            raise ValueError(f"{video_id}: its mono has {len(mono)} channel(s), its binaural {len(pair)}")
        if not (np.isfinite(mono).all() and np.isfinite(pair).all()):
            raise ValueError(f"{video_id}: its sounds have non-finite values")
        samples, mel = min(mono.shape[1], pair.shape[1]), MelConfig()
        found = list(sound_remarks(mono[:, :samples], pair[:, :samples], rate))
        yield from found
        if "silent" in [kind for kind, _ in found]:
            return
        if not (self.ears and recordings.detections[video_id]):
            if why := one_sound(pair, rate):
                yield "one sound", why
            return
        there = recordings.source_directions(video_id, SLOTS)

        def directions(times: np.ndarray) -> Tensor:
            return there(times + first)

        ours = torch.from_numpy(np.ascontiguousarray(resample(pair, rate, mel.sample_rate)))
        head = head_named(self.head or recordings.head(video_id))
        check = compare_with_picture([ours], directions, head, mel)
        if check.verdict == "mono":
            yield "one sound", check.reason
        if check.verdict == "swapped":
            yield "swapped", f"by {check.swapped:.0%}: {check.reason}"


def box_remarks(rows: list[Detection], seconds: float) -> Iterator[tuple[str, str]]:
    """What is doubtful about a recording's boxes: kind, reason."""
    if not rows:
        yield "no boxes", "no detections"
    elif len({d.time for d in rows}) == 1:
        yield "few boxes", f"boxes at {rows[0].time:.2f} s alone, which hold for one picture"
    elif rows[-1].time - rows[0].time < FEW * seconds:
        between = f"between {rows[0].time:.1f} and {rows[-1].time:.1f} s of {seconds:.1f} s"
        yield "few boxes", f"boxes lie {between}; do their frames count the pictures of dataset.json?"


def stamp_of(recordings: Recordings, video_id: str, rows: list[Detection]) -> str:
    """What changes with a recording's files, its boxes or dataset.json."""
    states = []
    for path in (*(recordings.sound_file(video_id, c) for c in (1, 2)), recordings.frames(video_id)):
        state = os.stat(path) if path.exists() else None
        states.append((state.st_size, state.st_mtime_ns) if state else None)
    facts = recordings.fps, recordings.fov(video_id), recordings.head(video_id)
    return f"{zlib.crc32(repr((states, facts, rows)).encode()):08x}"
