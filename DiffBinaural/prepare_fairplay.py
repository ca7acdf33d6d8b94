"""Convert the FAIR-Play download to a dataset, or verify one; run again to go on after an interruption:

python DiffBinaural/prepare_fairplay.py --fairplay_root downloads/FAIR-Play --out data/fairplay
python DiffBinaural/prepare_fairplay.py --fairplay_root downloads/FAIR-Play --out data/fairplay --verify
"""

from pathlib import Path

from DiffBinaural.fairplay.config import PrepareConfig
from DiffBinaural.fairplay.preparation import plan, prepare
from DiffBinaural.fairplay.verification import verify
from DiffBinaural.preparation.faults import raise_faults
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import next_command


def main(cfg: PrepareConfig) -> None:
    """Prepare or verify, then report the broken clips."""
    job = plan(cfg.fairplay_root, cfg.out, cfg.fps, cfg.size)
    lines, faults = (verify if cfg.verify else prepare)(job, cfg.workers)
    print(*lines, sep="\n")
    lists = sorted(Path(cfg.out, "splits").glob("*/train.csv"))
    if lists and not cfg.verify:
        split = lists[0].parent.name
        words = {"id": f"fairplay_{split}", "data_root": cfg.out, "split": split}
        print(next_command("DiffBinaural/train_fairplay.py", **words))
    left_out = "clip(s) cannot be prepared and are left out of the lists"
    raise_faults(faults, left_out, verified=cfg.verify)


if __name__ == "__main__":
    run(main)
