"""Place mono sounds by hand, at one position or from left to right, and measure what the ears make of it:

python DiffBinaural/test_pos.py --run checkpoints/first --data_root data/real --output_dir generated/placed \\
    --override_pos 0.5,0
python DiffBinaural/test_pos.py --run checkpoints/first --data_root data/real --output_dir generated/sweep \\
    --sweep
"""

from pathlib import Path

from DiffBinaural.dataset.genaudio_pos import GenAudioPos
from DiffBinaural.evaluation.aggregation import write_csv
from DiffBinaural.evaluation.placement import curves, generate_at_positions, rises
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.plots import draw_sweep


def main(cfg: PlacementConfig) -> None:
    """Write mel pairs and positions.csv, and draw <video_id>_<ms>.png, as inference_e2e.py's --plot does.

    Of a sweep draw sweep.png instead, and print how surely levels rise.
    """
    rows, out = generate_at_positions(GenAudioPos, cfg), Path(cfg.output_dir)
    if not rows:
        return  # another process of the job has them all
    write_csv(out / "positions.csv", rows)
    if cfg.sweep:
        azimuth, made, sphere = (curves(rows, name) for name in ("azimuth", "ild_db", "sphere_db"))
        draw_sweep(out / "sweep.png", azimuth[0], made, sphere)
        print(f"Spearman correlation of position and level difference, mean over clips: {rises(rows):.3f}")


if __name__ == "__main__":
    run(main)
