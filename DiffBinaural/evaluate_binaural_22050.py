"""Compare binaural wavs with the truth, in one table and as CSV and JSON.

python DiffBinaural/evaluate_binaural_22050.py --pred_dir out/wavs \\
    --gt_dir data/processed/binaural_audios_22050Hz --output_json out/wavs.json

A column is a system: each folder of --pred_dir, mono_copy (the mono in both ears) and swapped (the first
folder's sounds with their ears exchanged: right in all but direction).
"""

import sys
from pathlib import Path

from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import EvaluateWavConfig, MelConfig
from DiffBinaural.evaluation import (
    compared_wavs,
    format_table,
    joined,
    predictions,
    remarks,
    rows_of,
    save,
    wavs,
)
from DiffBinaural.metrics import METRICS, WAV_METRICS, cues, measure
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.plots import draw_lines


def main(cfg: EvaluateWavConfig) -> None:
    """Measure every clip of every system, join the other script's figures, write and print."""
    others = rows_of(cfg.merge_json) if cfg.merge_json else []
    truths, rate, rows = wavs(cfg.gt_dir), MelConfig.sample_rate, []
    clips = predictions(cfg.pred_dir, wavs, truths, cfg.mono_dir)
    sys.stderr.writelines(remarks(clips, truths))
    for clip in tqdm(clips, unit="clip"):
        pairs = compared_wavs(clip, rate, slack=MelConfig.hop)
        rows += [{"id": clip.stem, "system": system, **measure(WAV_METRICS, *pair, rate)}
                 for system, pair in pairs.items()]
        if cfg.plots:
            heard = {"truth": pairs[clip.system][1], clip.system: pairs[clip.system][0]}
            lines = {k: cues(wav, rate) for k, wav in heard.items()}
            draw_lines(Path(cfg.plots) / clip.system / f"{clip.stem}.png", lines)
    print(format_table(save(joined(rows, others), cfg.output_csv, cfg.output_json), METRICS))


if __name__ == "__main__":
    run(main)
