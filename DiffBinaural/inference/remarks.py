"""What is said of a conversion where sound, picture or level are not as expected."""

import math
from pathlib import Path

PICTURE_RATE = 10  # pictures a second that are taken from a video; what differs by less is not said


def length_notice(sound: float, picture: float, pictures: int = 0) -> str:
    """What is done when sound and picture differ in length (seconds); empty when they agree to 0.1 s.

    pictures  in the folder, where it is no video, which states its own rate
    """
    if abs(sound - picture) <= 1 / PICTURE_RATE:
        return ""
    what = (
        f"the last picture is held for {sound - picture:.2f} s"
        if sound > picture
        else f"the last {picture - sound:.2f} s of the video are not used"
    )
    if pictures > 1:
        what += "; is --fps the rate of these pictures?"
    return f"the sound lasts {sound:.2f} s, the video {picture:.2f} s: {what}"


def early_end_notice(table: str | Path, last: float, picture: float) -> str:
    """What is said where a video's last detection lies in its first half; empty elsewhere.

    last     seconds of the last detection
    picture  seconds of the video
    """
    if not 0 < last < picture / 2:
        return ""
    return (
        f"{table}: its rows end at {last:.2f} s of {picture:.2f} s; does `frame` count the video's own "
        "pictures? A column `time`, in seconds, takes precedence"
    )


def loudness_notice(path: str | Path, gain: float, limited: bool) -> str:
    """What is done with a sound that this gain fits into full scale; empty where it fits as it is."""
    if gain >= 1:
        return ""
    over = -20 * math.log10(gain)
    done = (
        f"both ears are {over:.1f} dB softer throughout; --no-limit keeps the level in floats"
        if limited
        else f"written as it is; {over:.1f} dB softer it would fit"
    )
    return f"{path}: an ear passes full scale by {over:.1f} dB: {done}"
