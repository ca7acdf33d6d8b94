"""A packed dataset: recordings in tar shards, read at random."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.lists import Clip, Detection, fold_among, folded, read_clips, split_path
from DiffBinaural.utils.packed_index import DETECTED, PackedIndex, by_time
from DiffBinaural.utils.shards import BLOCK, Member, Place, Shards

LANES = 16  # elements that a processor computes at once, or a divisor of them
REMEMBERED = 64  # recordings whose row of the index a process keeps
FETCHED = 1000  # rows of a list that are read at once


@dataclass(frozen=True)
class PackedRecording:
    """A recording's row of the index.

    mono, ears  samples of the sounds; ears: None without a binaural one
    size        (width, height) of its first picture, pixels
    fov         degrees
    places      of mono sound, binaural sound where there is one, pictures
    """

    video_id: str
    mono: int
    ears: int | None
    size: tuple[int, int]
    fov: float
    head: str
    places: list[Place]

    @property
    def pictures(self) -> list[Place]:
        """Places of the pictures."""
        return self.places[1 if self.ears is None else 2 :]

    def samples(self, channels: int) -> int:
        """Samples of the mono sound (1 channel), of the binaural sound (2)."""
        found = self.mono if channels == 1 else self.ears
        if found is None:
            raise FileNotFoundError(f"{self.video_id}: the packed dataset has no binaural sound of it")
        return found


class Packed(PackedIndex):
    """A packed dataset: whatever is asked for is read then, and nothing is kept.

    root  its folder: see :class:`PackedIndex`
    """

    def __init__(self, root: str | Path):
        super().__init__(root)
        self.shards, self.recording = Shards(self.root), lru_cache(REMEMBERED)(self._recording)

    def clips(self, name: str, split: str = "", fold: str = "", *, inside: bool = False) -> Sequence[Clip]:
        """Clips of a packed list, or of a CSV file of clips, all or of folds: as of lists.folded.

        name  as in <data_root>/splits/<split>/<name>.csv of the folder that was packed; else of a file
        """
        key = "/".join(filter(None, (split, name)))
        if self.rows("SELECT list FROM lists WHERE name = ?", key):
            return PackedClips(self, key, fold, inside=inside)
        clips = folded(read_clips(split_path(self.root, name, split)), fold, inside=inside)
        for clip in clips:
            self.recording(clip.video_id)
        return clips

    def _recording(self, video_id: str) -> PackedRecording:
        found = self.rows("SELECT * FROM recordings WHERE video_id = ?", video_id)
        if not found:
            raise FileNotFoundError(f"{self.root}: holds no recording {video_id}")
        _, _, shard, mono, ears, width, height, fov, head, places, sums = found[0]
        spans = np.frombuffer(places, "<u8").reshape(-1, 2).tolist()
        ends = np.cumsum([0, *(-(-size // BLOCK) for _, size in spans)]).tolist()
        checksums = np.frombuffer(sums, "<u4")
        members = [
            Place(shard, offset, size, checksums[ends[k] : ends[k + 1]])
            for k, (offset, size) in enumerate(spans)
        ]
        return PackedRecording(video_id, mono, ears, (width, height), fov, head, members)

    def check_ears(self, clips: Sequence[Clip]) -> None:
        """Raise FileNotFoundError for the first clip whose recording has no binaural sound."""
        lacking = (
            clips.one_eared
            if isinstance(clips, PackedClips)
            else next((clip.video_id for clip in clips if not self.has_ears(clip.video_id)), None)
        )
        if lacking is not None:
            self.recording(lacking).samples(2)

    def has_ears(self, video_id: str) -> bool:
        """Whether a recording has a binaural sound."""
        return self.recording(video_id).ears is not None

    def samples(self, clip: Clip, channels: int) -> int:
        """Length of a clip's mono (1 channel) or binaural (2) sound."""
        start, end = clip.samples(self.facts["rate"], self.recording(clip.video_id).samples(channels))
        return end - start

    def sound(
        self, clip: Clip, rate: int, channels: int, first: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Samples [first, stop) of a clip's sound, (C, N) float32: those of audio.read_part.

        rate  Hz, that of the packed sounds
        """
        if rate != self.facts["rate"]:
            raise ValueError(
                f"{self.root}: its sounds have {self.facts['rate']} Hz, {rate} Hz are wanted; "
                "convert the sounds, and pack the dataset again"
            )
        recording = self.recording(clip.video_id)
        start, end = clip.samples(rate, recording.samples(channels))
        if start >= end:
            raise ValueError(
                f"{clip.video_id}: lasts {recording.samples(channels) / rate:.2f} s; "
                f"the list wants it from {clip.start} s"
            )
        begin, end = min(start + first, end), end if stop is None else min(start + stop, end)
        name = f"the {'mono' if channels == 1 else 'binaural'} sound of {clip.stem}"
        member = Member(self.shards, recording.places[channels - 1], name)
        try:
            with soundfile.SoundFile(member) as file:
                file.seek(begin)
                wav = file.read(end - begin, dtype="float32", always_2d=True).T
        except soundfile.LibsndfileError as error:
            raise member.fault or ValueError(f"{self.root}: {name}: {error.error_string}") from None
        if member.fault:
            raise member.fault
        assert wav.shape == (channels, end - begin), (name, wav.shape)
        return wav

    def picture(self, video_id: str, k: int) -> bytes:
        """Picture k of a recording, as its file was."""
        return self.shards.read(self.recording(video_id).pictures[k], f"picture {k + 1} of {video_id}")

    def detections(self, video_id: str) -> list[Detection]:
        """Detections of a recording, sorted by time."""
        return by_time(self.rows(DETECTED, video_id))


def piece_start(start: int, cfg: MelConfig) -> int:
    """The mel frame from which to read a piece of a clip, so that its mels from `start` on are the clip's.

    That is so far before it that no window reaches back, and a multiple of LANES: at the end of a sound
    vectorised loops round the elements that are left over differently, and so they are the same ones.
    """
    return max(start - -(-cfg.n_fft // cfg.hop), 0) // LANES * LANES


class PackedClips(Sequence):
    """The clips of a packed list, or of its folds, read from the index when they are asked for.

    recordings  how many recordings they are of
    one_eared   id of a recording of the list without binaural sound, None where all have it
    """

    def __init__(self, packed: Packed, name: str, fold: str, *, inside: bool):
        self.packed = packed
        self.list, self.total, self.recordings, self.one_eared = packed.rows(
            "SELECT list, clips, recordings, one_eared FROM lists WHERE name = ?", name
        )[0]
        self.chosen = None
        if fold:
            k, n = fold_among(fold, self.recordings)
            query = "SELECT k FROM clips WHERE list = ? AND (rank % ? = ?) = ? ORDER BY k"
            rows = packed.rows(query, self.list, n, k - 1, inside)
            self.chosen = np.array(rows, np.int64)[:, 0]
            self.total = len(self.chosen)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, i: int) -> Clip:
        if not -self.total <= i < self.total:
            raise IndexError(i)
        k = i % self.total if self.chosen is None else int(self.chosen[i])
        return self._between(k, k + 1)[0]

    def __iter__(self) -> Iterator[Clip]:
        if self.chosen is not None:
            yield from (self[i] for i in range(self.total))
        else:
            for k in range(0, self.total, FETCHED):
                yield from self._between(k, k + FETCHED)

    def _between(self, first: int, stop: int) -> list[Clip]:
        rows = self.packed.rows(
            "SELECT video_id, start, stop, label FROM clips WHERE list = ? AND k >= ? AND k < ? ORDER BY k",
            self.list,
            first,
            stop,
        )
        return [Clip(*row) for row in rows]
