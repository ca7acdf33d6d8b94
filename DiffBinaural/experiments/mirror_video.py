"""Put a video into a folder, beside its mirror image with the same sound:

python DiffBinaural/experiments/mirror_video.py --input_video examples/talking.mp4 --output_dir out/films
"""

import shutil
from pathlib import Path

from DiffBinaural.experiments.config import MirrorConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.media import frame_rate, pictures, read_sound, sound_delay
from DiffBinaural.utils.media_writing import write_video

LATE = 0.02  # seconds


def main(cfg: MirrorConfig) -> None:
    """Copy the video, write <name>_mirrored.mp4 beside the copy."""
    video, out = Path(cfg.input_video), Path(cfg.output_dir)
    if (delay := sound_delay(video)) > LATE:
        raise ValueError(f"{video}: its sound begins {delay:.2f} s after its pictures; expected both at once")
    (sound, rate), fps = read_sound(video), round(frame_rate(video))
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(video, out / video.name)
    with replacing(out / f"{video.stem}_mirrored.mp4") as partial:
        write_video(partial, (picture[:, ::-1] for picture in pictures(video, fps)), fps, sound, rate)


if __name__ == "__main__":
    run(main)
