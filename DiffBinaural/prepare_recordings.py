"""Make a dataset of videos with binaural sound, or verify one; run again to go on after an interruption:

python DiffBinaural/prepare_recordings.py --input binaural_videos --out data/own
python DiffBinaural/prepare_recordings.py --input binaural_videos --out data/own --verify

Left is channel 0. What cannot be used is named at the end, the rest is done, and the exit status is then 2.
"""

from DiffBinaural.preparation.faults import raise_faults
from DiffBinaural.recorded.config import RecordingsConfig
from DiffBinaural.recorded.dataset import prepare_recordings
from DiffBinaural.recorded.verification import verify_recordings
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import next_command


def main(cfg: RecordingsConfig) -> None:
    """Prepare or verify, then report what cannot be used."""
    lines, faults = (verify_recordings if cfg.verify else prepare_recordings)(cfg)
    print(*lines, sep="\n")
    if not cfg.verify:
        print(next_command("DiffBinaural/check_dataset.py", data_root=cfg.out))
    left_out = "recording(s) cannot be used and are left out of the lists"
    raise_faults(faults, left_out, verified=cfg.verify)


if __name__ == "__main__":
    run(main)
