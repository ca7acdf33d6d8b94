"""Copy some sounds of a corpus, each into the folder of its class:

python DiffBinaural/experiments/choose_sounds.py --corpus data/kit --output_dir out/sounds \\
    --take cat dog person/talking_speaker.wav
"""

import shutil
from pathlib import Path

from DiffBinaural.experiments.config import ChooseConfig
from DiffBinaural.utils.arguments import run


def main(cfg: ChooseConfig) -> None:
    """Copy whole classes and single files; print how many files these are."""
    sounds, out = Path(cfg.corpus) / "sounds", Path(cfg.output_dir)
    chosen = [path for name in cfg.take for path in files_of_class(sounds, name)]
    for path in chosen:
        target = out / path.relative_to(sounds)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    print(f"{out}: {len(chosen)} sounds of {len({path.parent for path in chosen})} classes")


def files_of_class(sounds: Path, name: str) -> list[Path]:
    """The files of a class, or the single file <class>/<file>.

    Raises FileNotFoundError where there is none.
    """
    path = sounds / name
    found = sorted(path.glob("*.*")) if path.is_dir() else [path] * path.is_file()
    if not found:
        raise FileNotFoundError(f"{path}: no such sounds; gather_corpus.py --purpose test gathers them")
    return found


if __name__ == "__main__":
    run(main)
