"""Compare binaural wavs with the truth in a table, as CSV or JSON, or on a listening page:

python DiffBinaural/evaluate_binaural_22050.py --pred_dir out/wavs \\
    --gt_dir data/processed/binaural_audios_22050Hz --output_json out/wavs.json --report out/report.html

The systems are each folder of --pred_dir, mono_copy (the mono in both ears), swapped (the first folder's
sounds with their ears exchanged: right in all but direction), with --data_root geometry (no network: the
mono filtered by the directions of the detected sources) and, with --mono_dir, oracle_mono_phase (the
truth's magnitudes with the mono's phase).  The table shows the metrics of --metrics; the files hold all.
"""

import sys
from functools import partial

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.aggregation import format_table, joined, rows_of, save
from DiffBinaural.evaluation.comparison import clip_figures
from DiffBinaural.evaluation.config import EvaluateWavConfig
from DiffBinaural.evaluation.paired import compare, format_paired
from DiffBinaural.evaluation.pairing import (
    by_clip,
    named_folders,
    notices,
    predictions,
    unmatched,
    wavs,
    with_sources,
)
from DiffBinaural.evaluation.report import clip_content, draw_cues, evenly_spaced, write_report
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import written
from DiffBinaural.utils.processes import parallel_map


def main(cfg: EvaluateWavConfig) -> None:
    """Measure every clip of every system, merge the other script's figures, write and print."""
    others = rows_of(cfg.merge_json) if cfg.merge_json else []
    truths, rate, extra = wavs(cfg.gt_dir), MelConfig.sample_rate, {}
    found = predictions(cfg.systems, wavs, truths, cfg.mono_dir, cfg.anchors)
    found = with_sources(found, cfg.data_root)
    extra["unmatched"] = unmatched(cfg.systems, wavs, truths, found)
    sys.stderr.writelines(notices(found, truths, extra["unmatched"]))
    clips = by_clip(found)
    results = parallel_map(partial(clip_figures, rate=rate), clips, cfg.workers)
    rows = joined([row for clip in results for row in clip], others)
    if cfg.pred_dir_b:
        a, *_, b = named_folders(cfg.systems)
        extra["paired"] = compare(rows, a, b, cfg.seed)
    systems = save(rows, cfg.output_csv, cfg.output_json, **extra)
    if cfg.plots:
        parallel_map(partial(draw_cues, rate=rate, folder=cfg.plots), clips, cfg.workers)
    if cfg.report:
        shown = parallel_map(
            partial(clip_content, rate=rate), evenly_spaced(clips, cfg.report_clips), cfg.workers
        )
        sys.stderr.write(write_report(cfg.report, shown, rows, systems, extra.get("paired")))
    print(format_table(systems, cfg.printed))
    if cfg.pred_dir_b:
        print(f"\n{format_paired(extra['paired'], cfg.printed)}")
    if files := written(cfg.output_csv, cfg.output_json, cfg.plots, cfg.report):
        print(f"\n{files}")


if __name__ == "__main__":
    run(main)
