"""Generate binaural mels with the source moved to one position, to several from left to right, or over time:

python DiffBinaural/test_pos.py --run checkpoints/first --data_root data/real --output_dir generated/placed \\
    --override_pos 0.5,0
python DiffBinaural/test_pos.py --run checkpoints/first --data_root data/real --output_dir generated/sweep \\
    --sweep
python DiffBinaural/test_pos.py --run checkpoints/first --data_root data/real --output_dir generated/moved \\
    --trajectory_in edited.csv
"""

from pathlib import Path

from DiffBinaural.dataset.genaudio_pos import GenAudioPos
from DiffBinaural.evaluation.aggregation import write_csv
from DiffBinaural.evaluation.placement import curves, rises
from DiffBinaural.evaluation.sweep import generate_at_positions
from DiffBinaural.inference.config import PlacementConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import ending
from DiffBinaural.utils.plots import draw_sweep


def main(cfg: PlacementConfig) -> None:
    """Write mel pairs and positions.csv, with a picture <video_id>_<ms>.png of each pair.

    positions.csv has the azimuth of the source in degrees, on trajectories the mean of the likeliest to sound
    over the clip, the level difference that was made, and that of a rigid sphere, both in dB.
    For a sweep, draw sweep.png instead and print how the level difference correlates with the position.
    """
    rows, out = generate_at_positions(GenAudioPos, cfg), Path(cfg.output_dir)
    if not rows:
        return  # only the job's first process has them
    write_csv(out / "positions.csv", rows)
    if cfg.sweep:
        azimuth, made, sphere = (curves(rows, name) for name in ("azimuth", "ild_db", "sphere_db"))
        draw_sweep(out / "sweep.png", azimuth[0], made, sphere)
        print(f"Spearman correlation of position and level difference, mean over clips: {rises(rows):.3f}")
    print(ending(out, f"mels of {len(rows)} placements, {'sweep.png, ' * cfg.sweep}positions.csv"))


if __name__ == "__main__":
    run(main)
