"""Simulated scenes: their physics, pictures, datasets."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from DiffBinaural import position_utils as geometry
from DiffBinaural import simulate_dataset
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.heads.named import head_named
from DiffBinaural.heads.sphere import Sphere, high_frequency_itd, low_frequency_itd, sphere_response
from DiffBinaural.position_utils import FOV, azimuth_to_x
from DiffBinaural.simulation.appearance import FRAME, SHAPES, Appearance, box_of, stamp
from DiffBinaural.simulation.binaural import positions_at, spatialise
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.simulation.signals import FAMILIES, excerpt, melody, recordings
from DiffBinaural.utils.media import pictures, read_sound
from DiffBinaural.utils.media_writing import write_video

HEAD = Sphere()

HZ = np.fft.rfftfreq(RATE, 1 / RATE)  # of sounds of one second


def noise(seconds=1.0):
    return np.random.default_rng(0).standard_normal(round(seconds * RATE))


def standing(azimuth):
    return lambda times: positions_at(np.full_like(times, azimuth), 0.0, 1.5)


@pytest.fixture(scope="module")
def right():
    """Spectra (2, F) of a second of noise at +60°, anechoic."""
    return np.fft.rfft(spatialise(noise(), standing(60.0), HEAD))


def band(low, high):
    return (low <= HZ) & (high >= HZ)


def ild(spectra, low, high):
    energy = (np.abs(spectra[:, band(low, high)]) ** 2).sum(1)
    return 10 * np.log10(energy[1] / energy[0])


def phase_delay(spectra, low, high):
    """t_left - t_right in seconds: the phase of L R* is -2 pi f ITD.

    It is unwrapped from 0 Hz on, because above 1.5 kHz it is ambiguous by whole periods. Both
    limits are for the delay of a steady tone; group delay ripples with the wave creeping around the far side.
    """
    cross = np.convolve(spectra[0] * spectra[1].conj(), np.ones(9), "same")
    phase = np.unwrap(np.angle(cross))
    return -np.mean((phase / (2 * np.pi * np.maximum(HZ, 1)))[band(low, high)])


def sphere_level(hz, sine):
    """|p| on a rigid sphere in a plane wave: incident plus scattered wave, term by term (Morse & Ingard)."""
    mu = 2 * math.pi * hz * 0.0875 / 343
    total = 0
    for m in range(60):
        incident, slope = (spherical_jn(m, mu, d) for d in (False, True))
        outward, outward_slope = (spherical_jn(m, mu, d) + 1j * spherical_yn(m, mu, d) for d in (False, True))
        if not np.isfinite(outward_slope):
            break
        wave = incident - slope / outward_slope * outward
        total += (2 * m + 1) * 1j**m * eval_legendre(m, -sine) * wave
    return abs(total)


# --- the head ---------------------------------------------------------------------------------------------


def test_a_source_on_the_right_is_louder_and_earlier_in_the_right_ear(right):
    assert ild(right, 100, 8000) > 5
    assert phase_delay(right, 200, 400) > 0


@pytest.mark.parametrize(
    ("low", "high", "law", "micros"),
    [(200, 400, low_frequency_itd, 663), (4500, 5500, high_frequency_itd, 488)],
)
def test_arrival_times_follow_the_rigid_sphere(right, low, high, law, micros):
    assert law(60.0) * 1e6 == pytest.approx(micros, abs=1)
    assert phase_delay(right, low, high) == pytest.approx(law(60.0), rel=0.10)


@pytest.mark.parametrize("hz", [300, 1000, 3000, 6000])
def test_levels_follow_the_rigid_sphere(right, hz):
    sine = math.sin(math.radians(60))
    wanted = 20 * math.log10(sphere_level(hz, sine) / sphere_level(hz, -sine))
    assert ild(right, hz * 0.99, hz * 1.01) == pytest.approx(wanted, abs=0.5)
    level = np.abs(right / np.fft.rfft(noise()))[:, band(hz - 1, hz + 1)].mean(1)
    assert level == pytest.approx([sphere_level(hz, -sine), sphere_level(hz, sine)], rel=0.02)


def test_pressure_doubles_where_a_short_wave_meets_the_sphere():
    common, differing = sphere_response(np.array([1.0]), RATE, 1024)
    assert abs(common + differing)[0, -1] == pytest.approx(2, abs=0.05)


def test_mirrored_positions_swap_the_ears():
    assert np.allclose(
        spatialise(noise(), standing(-60.0), HEAD), spatialise(noise(), standing(60.0), HEAD)[::-1], atol=1e-5
    )


def test_the_mean_of_the_ears_has_no_delay():
    click = np.zeros(RATE)
    click[6994:7007] = np.hanning(13)  # nothing at half the rate, where delays ring
    for azimuth in (0.0, 35.0, -55.0):
        pair = spatialise(click, standing(azimuth), HEAD)
        assert pair.shape == (2, RATE)
        energy = (pair**2).sum(0)
        assert (energy * np.arange(RATE)).sum() / energy.sum() == pytest.approx(7000, abs=0.0003 * RATE)
        assert np.delete(energy, np.arange(6900, 7100)).sum() < 1e-5 * energy.sum()


def test_interaural_cues_follow_a_source_from_left_to_right():
    pair = spatialise(noise(4), lambda times: positions_at(-50 + 25 * times, 0.0, 1.5), HEAD)
    parts = [np.fft.rfft(pair[:, k * RATE // 2 :][:, :RATE] * np.hanning(RATE)) for k in range(7)]
    azimuths = [-37.5 + 12.5 * k for k in range(7)]
    delays = [phase_delay(part, 200, 400) for part in parts]
    levels = [ild(part, 1000, 8000) for part in parts]
    assert np.allclose(delays, low_frequency_itd(azimuths), atol=5e-5)
    assert np.all(np.diff(levels) > 0.5)
    assert abs(levels[3]) < 1


# --- the dry sounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_built_in_sounds_fill_the_clip_and_the_spectrum(family):
    for seed in range(4):
        sound = melody(family, np.random.default_rng(seed), 3 * RATE, RATE)
        blocks = (sound.reshape(30, -1) ** 2).mean(1)
        assert (blocks > 1e-4 * blocks.max()).mean() > 0.8
        power = np.abs(np.fft.rfft(sound)) ** 2
        for low in (250, 500, 1000, 2000, 4000, 6000):
            assert power[3 * low : 6 * min(low, 4000)].sum() > 1e-6 * power.sum()


def test_recordings_replace_built_in_sounds(tmp_path):
    t = np.arange(44_100) / 44_100
    soundfile.write(tmp_path / "violin.wav", np.stack([np.sin(2500 * t), 0 * t], 1), 44_100)
    scene = simulate(1, seconds=1.5, sources=(1, 1), room=False, files=recordings(tmp_path))
    assert scene.sources[0].family == "violin"
    peak = np.abs(np.fft.rfft(scene.binaural[0])).argmax() / 1.5
    assert peak == pytest.approx(2500 / (2 * math.pi), abs=2)


def test_a_recording_is_played_at_speeds_within_the_ends(tmp_path):
    hertz, speeds, rng = 1000, (0.7, 1.5), np.random.default_rng(0)
    soundfile.write(tmp_path / "tone.wav", np.sin(2 * np.pi * hertz * np.arange(44_100) / 44_100), 44_100)
    drawn = []
    for _ in range(200):
        sound, origin = excerpt(tmp_path / "tone.wav", rng, RATE // 2, RATE, speeds)
        assert 2 * np.abs(np.fft.rfft(sound)).argmax() == pytest.approx(hertz * origin.speed, abs=1)
        assert origin.seconds == pytest.approx(1, abs=1e-3)
        drawn.append(origin.speed)
    assert speeds[0] <= min(drawn) <= max(drawn) <= speeds[1]
    place = np.sort(np.log(np.array(drawn) / speeds[0]) / np.log(speeds[1] / speeds[0]))
    assert np.abs(place - np.linspace(0, 1, 200)).max() < 0.1


def test_at_its_own_speed_a_recording_takes_no_draw_of_others(tmp_path):
    """So scenes without the option are those that there were before it."""
    soundfile.write(tmp_path / "violin.wav", noise(), RATE)
    rng, expected = np.random.default_rng(3), np.random.default_rng(3)
    sound, origin = excerpt(tmp_path / "violin.wav", rng, RATE // 2, RATE)
    expected.integers(0, RATE // 2 + 1, 8)
    assert rng.bit_generator.state == expected.bit_generator.state
    whole, start = read_sound(tmp_path / "violin.wav")[0][0], round(origin.start * RATE)
    part = whole[start : start + RATE // 2]
    assert np.corrcoef(part, sound)[0, 1] > 0.999999
    assert origin.speed == 1


def test_a_recording_has_the_shape_that_its_name_begins_with(tmp_path):
    for name in ("vowel_anna", "violin"):
        soundfile.write(tmp_path / f"{name}.wav", noise(), RATE)
    alone = {
        simulate(k, seconds=1, sources=(1, 1), files=recordings(tmp_path)).sources[0].family
        for k in range(12)
    }
    assert alone == {"vowel_anna", "violin"}
    mixed = [
        simulate(k, seconds=1, sources=(5, 5), files=recordings(tmp_path), recorded_fraction=0.5)
        for k in range(12)
    ]
    families = [{source.family for source in scene.sources} for scene in mixed]
    assert all(("vowel" in names) != ("vowel_anna" in names) for names in families)
    assert 1 < sum("vowel_anna" in names for names in families) < 11


def test_speech_differs_by_file_and_is_reproducible(scripts, tmp_path):
    for folder in ("a", "b"):
        scripts("DiffBinaural.simulate_speech", "--out", tmp_path / folder, "--clips", 3, "--seed", 4)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    sounds = [read_sound(path)[0][0] for path in sorted((tmp_path / "a").iterdir())]
    for sound in sounds:
        assert 2 * RATE < len(sound) < 12 * RATE
        assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-3)
        power = np.abs(np.fft.rfft(sound)) ** 2
        hz = np.fft.rfftfreq(len(sound), 1 / RATE)
        assert power[(hz > 80) & (hz < 4000)].sum() > 0.8 * power.sum()
    assert len({len(sound) for sound in sounds}) == 3


def test_recordings_without_sound_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}.*audio_dir"):
        recordings(tmp_path)
    soundfile.write(tmp_path / "mute.wav", np.zeros(RATE), RATE)
    with pytest.raises(ValueError, match=r"mute\.wav.*silent"):
        simulate(0, seconds=1, files=recordings(tmp_path))


# --- the picture and its geometry -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_is_tight_around_its_shape(shape):
    source, blank = Appearance(shape, (250, 20, 20), (13.3, 9.7)), Image.new("RGB", FRAME, (90, 90, 90))
    box = box_of(source, np.array([31.0]), np.array([7.0]))[0]
    picture = blank.copy()
    stamp(picture, source, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    rows, cols = np.nonzero((np.asarray(picture) != np.asarray(blank)).any(2))
    assert [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1] == pytest.approx(box, abs=1)


def test_boxes_angles_and_positions_are_consistent():
    box = np.array([120.0, 0.0, 240.0, 30.0])
    units = geometry.boxes_to_units(box, *FRAME)
    assert units.tolist() == [0.5, 0.75, 0.5, 0.25]
    assert np.allclose(geometry.units_to_boxes(units, *FRAME), box)
    assert torch.equal(geometry.boxes_to_units(torch.from_numpy(box), *FRAME), torch.from_numpy(units))
    assert geometry.azimuth_to_x(60.0, 120.0) == pytest.approx(1)
    assert geometry.x_to_azimuth(geometry.azimuth_to_x(-33.0, 90.0), 90.0) == pytest.approx(-33)
    assert geometry.mirror_positions(torch.tensor([0.5, 0.75, 0.5, 0.25])).tolist() == [-0.5, 0.75, 0.5, 0.25]


def test_cells_of_a_feature_map_lie_in_their_box():
    cells = geometry.cell_positions(torch.tensor([[0.5, 0.75, 0.5, 0.25]]), 2, 4)
    assert cells.shape == (1, 8, 2)
    assert cells[0, 0].tolist() == [0.125, 0.875]  # first: top left
    assert cells[0, 7].tolist() == [0.875, 0.625]  # last: bottom right


def test_fourier_features_are_sines_then_cosines():
    features = geometry.fourier_features(torch.tensor([[0.5, -0.25]]), 2)
    half, s, c = math.sqrt(0.5), math.sin(math.pi / 8), math.cos(math.pi / 8)
    assert features.shape == (1, 8)
    assert torch.allclose(features[0], torch.tensor([half, 1, half, 0, -s, -half, c, half]), atol=1e-6)


def test_the_left_edge_of_the_picture_has_other_features_than_the_right():
    """Sines of a whole period over [-1, 1] would give both edges the same."""
    positions = torch.linspace(-1, 1, 41)[:, None]
    features = geometry.fourier_features(positions, 5)
    apart = torch.cdist(features, features) + 10 * torch.eye(41)
    assert apart.min() > 0.5


def test_the_room_changes_the_sound_only():
    dry, wet = (simulate(3, seconds=1, room=room) for room in (False, True))
    assert np.array_equal(dry.frames, wet.frames)
    assert [s.family for s in dry.sources] == [s.family for s in wet.sources]
    assert not np.array_equal(dry.binaural, wet.binaural)
    assert 0.45 < np.abs(wet.binaural).max() < 0.95


# --- the dataset ------------------------------------------------------------------------------------------


def configure(out, **changes):
    small = SimulateConfig(out=str(out), clips=4, seconds=1.5, sources=(1, 1), workers=1, seed=5)
    return replace(small, **changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("sim")
    simulate_dataset.main(configure(root))
    return root


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_larger_head_has_a_longer_interaural_delay():
    delays = []
    for radius in (0.08, 0.095):
        left, right = np.fft.rfft(spatialise(noise(), standing(40.0), Sphere(radius)))[:, 150:250]
        delays.append((np.angle(left.conj() * right) / (2 * np.pi * HZ[150:250])).mean())
    assert delays[1] / delays[0] == pytest.approx(0.095 / 0.08, rel=0.02)


def test_heads_cameras_and_rooms_differ_from_scene_to_scene_and_directions_are_read_back(tmp_path):
    simulate_dataset.main(
        configure(tmp_path, clips=12, held_out=2, dry_fraction=0.5, head_radius=(8.0, 9.5), fov=(60.0, 120.0))
    )
    facts = json.loads((tmp_path / "scenes.json").read_text())
    assert {facts[name]["room"] for name in facts} == {True, False}
    heads = [head_named(facts[name]["head"]).radius for name in facts]
    assert 0.08 <= min(heads) < 0.085 < 0.09 < max(heads) <= 0.095
    assert [len(rows(tmp_path / f"splits/{name}.csv")) for name in ("train", "val", "test")] == [8, 2, 2]
    data = RealBinaural(tmp_path, "train", MelConfig(), ViewConfig(image_size=16))
    for i, clip in enumerate(data.clips):
        azimuth, fov = facts[clip.video_id]["sources"][0]["azimuth"][7], facts[clip.video_id]["fov"]
        assert abs(azimuth) <= 55 * fov / 120
        assert data.fov(clip.video_id) == fov
        box = data.frame_source(clip.video_id).picture(7)["box"]
        # at the edge of the picture, the visible part of a box counts
        assert box[1, 0] == pytest.approx(azimuth_to_x(azimuth, FOV), abs=0.03)
        assert box[0, 2] == pytest.approx(azimuth_to_x(fov / 2, FOV), abs=1e-5), i


def test_same_seed_same_bytes_whatever_the_workers(dataset, tmp_path):
    simulate_dataset.main(configure(tmp_path, workers=2))
    assert files(tmp_path) == files(dataset)


def test_the_same_pictures_make_the_same_video(tmp_path):
    scene, path, heap = simulate(7, seconds=4, room=False), tmp_path / "again.mp4", []
    videos = set()
    for k in range(10):
        heap = [np.random.default_rng(k).random(20_000 * (k + 1)), *heap][:4]  # other content in memory
        write_video(path, scene.frames, 10, scene.binaural, RATE)
        videos.add(path.read_bytes())
    assert len(videos) == 1


def test_splits_are_disjoint_and_complete(dataset):
    scenes = json.loads((dataset / "scenes.json").read_text())
    listed = [
        (row["video_id"], split)
        for split in ("train", "val", "test")
        for row in rows(dataset / f"splits/{split}.csv")
    ]
    assert [split for _, split in listed] == ["train", "train", "val", "test"]
    assert sorted(listed) == sorted((name, scene["split"]) for name, scene in scenes.items())
    assert len({scene["seed"] for scene in scenes.values()}) == 4
    row = rows(dataset / "splits/test.csv")[0]
    length = soundfile.info(dataset / f"processed/mono_audios_{RATE}Hz/{row['video_id']}.wav").frames
    assert float(row["end_time"]) == pytest.approx(length / RATE)


def test_mono_is_exactly_half_the_sum_of_the_ears(dataset):
    folder = dataset / "processed"
    for path in (folder / f"binaural_audios_{RATE}Hz").iterdir():
        ears, mono = (soundfile.read(p)[0] for p in (path, folder / f"mono_audios_{RATE}Hz" / path.name))
        assert soundfile.info(path).subtype == "PCM_16"
        assert ears.shape == (33_075, 2)
        assert np.array_equal(mono, ears.mean(1))


def test_the_video_shows_a_source_where_its_azimuth_projects(dataset):
    detected = rows(dataset / "action_detection_results/detection_results.csv")
    for name, scene in json.loads((dataset / "scenes.json").read_text()).items():
        mine = [row for row in detected if row["video_id"] == name]
        boxes = [[float(row[corner]) for corner in ("x1", "y1", "x2", "y2")] for row in mine]
        azimuths = scene["sources"][0]["azimuth"]
        seen = list(pictures(dataset / f"videos/{name}.mp4", 10))
        stills = sorted((dataset / f"processed/frames/{name}").iterdir())
        assert len(seen) == len(azimuths) == len(boxes) == len(stills) == 15
        for k, azimuth in enumerate(azimuths):
            # backgrounds are grey, sources are saturated
            found = np.ptp(seen[k].astype(int), axis=2) > 80
            cols, lines = np.flatnonzero(found.any(0)), np.flatnonzero(found.any(1))
            x = FRAME[0] * (1 + math.tan(math.radians(azimuth)) / math.tan(math.radians(FOV / 2))) / 2
            assert (cols[0] + cols[-1] + 1) / 2 == pytest.approx(x, abs=1.5)
            assert [cols[0], lines[0], cols[-1] + 1, lines[-1] + 1] == pytest.approx(boxes[k], abs=2)
        assert np.abs(np.asarray(Image.open(stills[7])).astype(int) - seen[7]).mean() < 5


def test_the_video_carries_the_mono_sound(dataset):
    mono = soundfile.read(dataset / f"processed/mono_audios_{RATE}Hz/scene_00000.wav")[0]
    sound, rate = read_sound(dataset / "videos/scene_00000.mp4")
    assert rate == RATE
    assert sound.shape == (1, len(mono))
    assert np.corrcoef(sound[0], mono)[0, 1] > 0.95


def test_a_folder_with_another_dataset_is_refused(dataset):
    before = files(dataset)
    with pytest.raises(ValueError, match=r"seed 5 \(here 6\).*another --out"):
        simulate_dataset.main(configure(dataset, seed=6))
    assert files(dataset) == before
