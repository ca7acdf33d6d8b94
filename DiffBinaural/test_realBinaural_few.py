"""Generate a few clips, with plots of prediction against truth:

python DiffBinaural/test_realBinaural_few.py --run checkpoints/first --data_root data/real \\
    --output_dir generated/few
"""

from dataclasses import replace
from pathlib import Path

from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.evaluation.mel_metrics import mel_cues
from DiffBinaural.inference.config import GenerateConfig
from DiffBinaural.inference.generation import comparison, generate_all
from DiffBinaural.inference.loading import load_config
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.plots import draw_mels


def main(cfg: GenerateConfig) -> None:
    """Write mel pairs and <video_id>_<ms>.png: mels and level differences over time.

    Three clips where --limit does not say otherwise.
    """
    few = replace(cfg, limit=3 if cfg.limit is None else cfg.limit)
    for clip, mel in generate_all(GenAudioRealBinaural, few):
        path, one = Path(cfg.output_dir) / f"{clip['stem']}.png", load_config(cfg.run[0]).mel
        known = {"truth": clip["binaural_mel"]} if "binaural_mel" in clip else {}
        lines = {name: mel_cues(pair.numpy(), one) for name, pair in {**known, "model": mel[:2]}.items()}
        draw_mels(path, comparison(clip, mel), one, lines)


if __name__ == "__main__":
    run(main)
