"""Count how often the ear check is right on simulated scenes, half of them swapped, on their mono copies too:

python DiffBinaural/simulate_dataset.py --out data/pairs --clips 76 --seconds 5 --sources 1..3 \\
    --bystanders 0..2 --seed 9201
python DiffBinaural/experiments/evaluate_ears.py --data_root data/pairs
"""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.experiments.config import EarsCheckConfig
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.ears import SLOTS, EarCheck, compare_with_picture
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.progress import Progress

SURE = 0.9  # confidence of those that are counted by themselves
LATE = 100  # samples that one channel of a mono copy is late, 4.5 ms


def main(cfg: EarsCheckConfig) -> None:
    """Print a row for each kind of sound, a column for each verdict."""
    recordings = Recordings(Path(cfg.data_root))
    names = sorted(recordings.ids())
    swapped = set(np.random.default_rng(cfg.seed).permutation(names)[: len(names) // 2])
    counts: dict[str, Counter] = defaultdict(Counter)
    sure = []  # of those that are sure, whether they are right
    for name in Progress(names, desc="checking", unit="scene"):
        pair = torch.from_numpy(read_wav(recordings.sound_file(name, 2))[0])
        head = head_named(cfg.head or recordings.head(name))
        where = recordings.source_directions(name, SLOTS)

        def verdict(sound: torch.Tensor, where=where, head=head) -> EarCheck:
            return compare_with_picture([sound], where, head)

        wanted = "swapped" if name in swapped else "agrees"
        found = verdict(pair.flip(0) if name in swapped else pair)
        counts[wanted][found.verdict] += 1
        if found.confidence >= SURE and found.verdict in ("agrees", "swapped"):
            sure.append(found.verdict == wanted)
        mono = pair.mean(0)
        copies = {"": mono, ", one softer": mono / 2, ", one late": mono.roll(LATE), ", one inverted": -mono}
        for kind, other in copies.items():
            counts[f"mono copy{kind}"][verdict(torch.stack([mono, other])).verdict] += 1
    verdicts = ("agrees", "swapped", "mono", "cannot tell")
    rows = [[kind, *(found[each] for each in verdicts)] for kind, found in counts.items()]
    print(tabulate(rows, headers=("sound", *verdicts), tablefmt="github"))
    print(f"of {len(sure)} with a confidence of {SURE} or more, {sum(sure)} are right")
    if cfg.output_json:
        write_json(cfg.output_json, counts)


if __name__ == "__main__":
    run(main)
