"""Compare mel pairs, the output of stage 1, with the truth in a table, as CSV or JSON:

python DiffBinaural/evaluate_mel_spectrogram_rmse.py --pred_dir out/mels \\
    --gt_dir data/processed/binaural_audios_22050Hz --output_json out/mels.json

The systems are each folder of --pred_dir, mono_copy (the mono's mel in both ears) and swapped (the first
folder's mels with their ears exchanged).  `bands` in the JSON holds each ear's errors by mel band, averaged
over clips; --plot draws them.  evaluate_binaural_22050.py takes the JSON as --merge_json.  --reliability
draws how far the predicted coherence between the ears can be trusted.
"""

import sys

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.aggregation import band_means, format_table, joined, save
from DiffBinaural.evaluation.comparison import compared_mels
from DiffBinaural.evaluation.config import EvaluateMelConfig
from DiffBinaural.evaluation.mel_metrics import MEL_METRICS, band_errors
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.evaluation.pairing import mels, notices, predictions, unmatched, wavs_or_mels
from DiffBinaural.evaluation.reliability import (
    check_phasors,
    draw_reliability,
    reliability,
    reliability_lines,
)
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import written
from DiffBinaural.utils.plots import draw_bands
from DiffBinaural.utils.progress import Progress


def main(cfg: EvaluateMelConfig) -> None:
    """Measure every clip of every system, write and print."""
    truths, mel, rows, bands = wavs_or_mels(cfg.gt_dir), MelConfig(), [], []
    clips = predictions(cfg.pred_dir, mels, truths, cfg.mono_dir, cfg.anchors)
    lost = unmatched(cfg.pred_dir, mels, truths, clips)
    sys.stderr.writelines(notices(clips, truths, lost))
    if cfg.reliability:
        check_phasors(clips)
    for clip in Progress(clips, unit="clip"):
        pairs = compared_mels(clip, mel)
        bands += [(system, band_errors(*pair)) for system, pair in pairs.items()]
        rows += [
            {"id": clip.stem, "system": system, **measure(MEL_METRICS, *pair, mel)}
            for system, pair in pairs.items()
        ]
    by_band = band_means(bands)
    systems = save(joined(rows), cfg.output_csv, cfg.output_json, bands=by_band, unmatched=lost)
    if cfg.plot:
        draw_bands(cfg.plot, by_band, mel)
    print(format_table(systems, cfg.printed))
    if cfg.reliability:
        sums = reliability(clips, mel)
        draw_reliability(cfg.reliability, sums)
        print("", *reliability_lines(sums), sep="\n")
    if files := written(cfg.output_csv, cfg.output_json, cfg.plot, cfg.reliability):
        print(f"\n{files}")


if __name__ == "__main__":
    run(main)
