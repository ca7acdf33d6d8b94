"""Lists of a simulated dataset's films: what they state, and that inference takes them."""

import json

import numpy as np
import pytest

from DiffBinaural.dataset.trajectories import read_trajectory
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.tables import read_rows


@pytest.fixture(scope="module")
def listed(scripts, tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    words = "--clips 3 --seconds 1 --sources 1 --bystanders 1 --no-room --fov 70..100 --workers 1"
    scripts("DiffBinaural.simulate_dataset", "--out", root / "data", *words.split())
    scripts(
        "DiffBinaural.experiments.list_films", "--data_root", root / "data", "--output_dir", root / "lists"
    )
    return root


def test_trajectories_are_those_of_what_sounds(listed):
    scenes = json.loads((listed / "data/scenes.json").read_text())
    fov = json.loads((listed / "data/dataset.json").read_text())["fov"]
    rows = read_rows(listed / "lists/true.csv", ("input_video", "fov"))
    assert [row["output"] for row in rows] == [
        f"{row['video_id']}.wav" for row in read_rows(listed / "data/splits/test.csv", ("video_id",))
    ]
    for row in rows:
        name = row["output"].removesuffix(".wav")
        points = read_trajectory(listed / "lists" / row["trajectory_in"])
        sources = scenes[name]["sources"]
        assert {p.track for p in points} == {str(source["track"]) for source in sources}
        for source in sources:
            made = [p.azimuth for p in points if p.track == str(source["track"])]
            assert np.abs(np.subtract(made, source["azimuth"])).max() < 1.5, "pixels, at a wide angle"
        assert float(row["fov"]) == fov[name]


def test_inference_takes_the_lists(listed, scripts):
    for kind in ("found", "true"):
        out = listed / kind
        lists = ("--input_video", listed / f"lists/{kind}.csv", "--output", out)
        scripts("BigVGAN.inference_e2e", *lists, "--renderer", "geometry")
        for row in read_rows(listed / f"lists/{kind}.csv", ("output",)):
            name = row["output"]
            made, _ = read_wav(out / name)
            truth, _ = read_wav(listed / "data/processed/binaural_audios_22050Hz" / name)
            error = np.square(made - truth).sum() / np.square(truth - truth.mean(0)).sum()
            assert made.shape == truth.shape
            if kind == "true":
                assert error < 0.1
