"""The recordings of a packed dataset, as those of a folder."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from DiffBinaural.dataset.detections import held_between
from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.media import read_picture
from DiffBinaural.utils.packed import Packed, PackedClips, PackedRecording
from DiffBinaural.utils.packed_index import is_packed


class PackedRecordings(Packed):
    """What :class:`Recordings` is for a folder: the same answers, each read when it is asked for.

    packed  whether they lie in shards
    """

    packed = True

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return self.facts["fps"]

    def check(self, clips: Sequence[Clip], name: str, channels: Sequence[int]) -> None:
        """Raise FileNotFoundError for the first clip without binaural sound, where `channels` has 2."""
        if 2 in channels:
            self.check_ears(clips)

    def count(self, clips: Sequence[Clip]) -> int:
        """How many recordings the clips, of all folds, are of."""
        return clips.recordings if isinstance(clips, PackedClips) else len({clip.video_id for clip in clips})

    def pictures(self, video_id: str) -> "PackedPictures":
        """The pictures of a recording."""
        return PackedPictures(self, self.recording(video_id))

    def detected(self, video_id: str) -> list[Detection]:
        """Detections of a recording, by time; what the table's rows leave between them is filled in."""
        return held_between(self.detections(video_id), self.fps)

    def fov(self, video_id: str) -> float:
        """Degrees that a recording's pictures show from edge to edge."""
        return self.recording(video_id).fov

    def head(self, video_id: str) -> str:
        """Name of the head that a recording was made with."""
        return self.recording(video_id).head


class PackedPictures(Sequence):
    """The pictures of a packed recording, read on demand.

    size  (width, height) of the first one, pixels
    """

    def __init__(self, packed: Packed, recording: PackedRecording):
        self.packed, self.video_id = packed, recording.video_id
        self.total, self.size = len(recording.pictures), recording.size

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, k: int) -> Image.Image:
        if not -self.total <= k < self.total:
            raise IndexError(k)
        with naming(f"{self.packed.root}, picture {k + 1} of {self.video_id}"):
            return read_picture(io.BytesIO(self.packed.picture(self.video_id, k)))


def recordings_of(root: str | Path) -> Recordings | PackedRecordings:
    """The recordings of a dataset folder, packed or not."""
    return PackedRecordings(root) if is_packed(root) else Recordings(root)
