"""Pack a dataset folder for training on many recordings; run again to go on after an interruption:

python DiffBinaural/pack_dataset.py --data_root data/real --out data/real.packed
python DiffBinaural/train_realBinaural.py --id large --data_root data/real.packed

Every file is checked.  The shards hold the files as they are: tar xf gives them back.
"""

from pathlib import Path

from DiffBinaural.dataset.packing import PackConfig, pack
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import next_command


def main(cfg: PackConfig) -> None:
    """Pack, then print what there is, or report what is broken."""
    line, faults = pack(cfg)
    if faults:
        about = f"{len(faults)} fault(s); mend what is named, or take it out of the lists, and run again:"
        raise ValueError("\n  ".join([about, *faults]))
    words = {"id": Path(cfg.out).stem, "data_root": cfg.out}
    print(line, next_command("DiffBinaural/train_realBinaural.py", **words), sep="\n")


if __name__ == "__main__":
    run(main)
