"""List the films of a simulated dataset, so that inference_e2e.py hears them as anybody's videos:

python DiffBinaural/experiments/list_films.py --data_root data/sim --output_dir out/films
python BigVGAN/inference_e2e.py --input_video out/films/found.csv --output out/found

found.csv tells nothing but the field of view; true.csv also where the sources are that sound.
"""

from pathlib import Path

from DiffBinaural.dataset.dataset_real_binaural import MONO
from DiffBinaural.dataset.recordings import Recordings
from DiffBinaural.dataset.trajectories import waypoints_of, write_trajectory
from DiffBinaural.experiments.config import FilmsConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.files import read_json, write_rows
from DiffBinaural.utils.lists import read_clips, split_path

COLUMNS = "input_video,input_wav,output,fov"


def main(cfg: FilmsConfig) -> None:
    """Write both lists, and trajectories/<id>.csv from the true boxes of what sounds."""
    root, out = Path(cfg.data_root).resolve(), Path(cfg.output_dir)
    recordings, scenes = Recordings(root), read_json(root / "scenes.json")
    size = tuple(read_json(root / "dataset.json")["frame_size"])
    found, true = [], []
    for name in (clip.video_id for clip in read_clips(split_path(root, cfg.list_test))):
        fov, sounding = recordings.fov(name), {str(source["track"]) for source in scenes[name]["sources"]}
        boxes = [d for d in recordings.detections[name] if d.track in sounding]
        write_trajectory(out / "trajectories" / f"{name}.csv", waypoints_of(boxes, size, fov))
        found.append((root / "videos" / f"{name}.mp4", root / MONO / f"{name}.wav", f"{name}.wav", fov))
        true.append((*found[-1], f"trajectories/{name}.csv"))
    write_rows(out / "found.csv", COLUMNS, found)
    write_rows(out / "true.csv", f"{COLUMNS},trajectory_in", true)


if __name__ == "__main__":
    run(main)
