"""Rooms of simulated scenes: decay, direct-to-reverberant ratio, diffuse field, spread."""

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfiltfilt

from DiffBinaural.heads.head import Head
from DiffBinaural.heads.sphere import SPEED_OF_SOUND, Sphere
from DiffBinaural.simulation import room as rooms
from DiffBinaural.simulation.binaural import mix_at_ears, positions_at, spatialise
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.room import DISTANCE, DRR, RT60, draw_room, lattice
from DiffBinaural.simulation.scenes import draw_path, placed_in, simulate

CLICK = 1000  # samples before the click


class TwoPoints(Head):
    """Two microphones in the free field, `apart` metres from each other; one point when 0."""

    def __init__(self, apart=0.0):
        self.apart, self.name = apart, "points"

    def responses(self, azimuth, elevation, rate, n_fft):
        """As of Head."""
        lateral = np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation))
        hz = np.fft.rfftfreq(n_fft, 1 / rate)
        turns = np.outer(lateral, hz) * self.apart / SPEED_OF_SOUND / 2
        return torch.from_numpy(np.exp(2j * np.pi * np.stack([-turns, turns])).astype(np.complex64))


def octave(sound, hz):
    return sosfiltfilt(butter(3, [hz / 2**0.5, hz * 2**0.5], "band", fs=RATE, output="sos"), sound)


def still(position):
    return lambda times: np.repeat(np.asarray(position, float)[None], len(times), 0)


def response(room, position, head=None, number=0):
    """Impulse response (2, N) of a room, the direct sound taken off, from its arrival on."""
    head, click = head or TwoPoints(), np.zeros(CLICK + int(RATE * (0.2 + 1.2 * room.rt60)))
    click[CLICK] = 1
    wet, dry = (spatialise(click, still(position), head, space, number) for space in (room, None))
    assert np.abs((wet - dry)[:, : CLICK - 40]).max() < 1e-3
    return (wet - dry)[:, CLICK:]


def drr(room, position):
    """dB at 1 kHz: the direct sound is a click of amplitude 1."""
    click, late = np.zeros(2 * RATE), response(room, position)[0]
    click[RATE] = 1
    late = np.pad(late, (RATE // 2, RATE // 2))
    return 10 * np.log10((octave(click, 1000) ** 2).sum() / (octave(late, 1000) ** 2).sum())


def drawn(count, first=0):
    return [draw_room(np.random.default_rng(seed)) for seed in range(first, first + count)]


@pytest.mark.parametrize("seed", range(8))
def test_sound_decays_by_60_db_in_the_reverberation_time_and_faster_at_high_frequencies(seed):
    room = draw_room(np.random.default_rng(seed))
    ears = [response(room, [0.3, 0.5, 0.0], TwoPoints(), number) for number in range(6)]
    times = []
    for hz in (1000, 4000):
        energy = sum((octave(pair[0], hz) ** 2)[int(0.02 * RATE) :] for pair in ears)
        level = 10 * np.log10(np.cumsum(energy[::-1])[::-1])
        level -= level[0]
        fit = np.flatnonzero((level < -3) & (level > -28))
        times.append(-60 / np.polyfit(fit / RATE, level[fit], 1)[0])
    assert times[0] == pytest.approx(room.rt60, rel=0.15)
    wanted = 6 * np.log(10) / room.decay(np.array([4000.0]))[0]
    assert times[1] == pytest.approx(wanted, rel=0.2)
    assert wanted < room.rt60


def test_the_direct_to_reverberant_ratio_is_the_drawn_one_and_falls_by_6_db_as_the_distance_doubles():
    off, steps = [], []
    for room in drawn(24):
        ray = positions_at(20.0, 5.0, 1.0)
        distances = room.placed(5.0, ray[None]) / np.array([1, 2])
        measured = np.array([drr(room, distance * ray) for distance in distances])
        off.append(measured - [room.drr_at(distance) for distance in distances])
        steps.append(np.ptp(measured))
    # images that arrive within half a period of each other add up in amplitude, not in power: a few miss
    assert np.abs(np.median(off)) < 0.5
    assert np.mean(np.abs(off) < 1.5) > 0.8
    assert np.abs(off).max() < 4
    assert np.median(steps) == pytest.approx(6, abs=0.75)
    assert np.mean(np.abs(np.array(steps) - 6) < 1.5) > 0.7
    assert room.drr_at(rooms.REFERENCE) == room.drr


def test_the_late_sound_of_two_points_is_as_coherent_as_a_diffuse_field():
    lower = rooms.diffuse_field(TwoPoints(0.16))
    hz = np.fft.rfftfreq(rooms.FIELD, 1 / RATE)
    coherence = lower[1, 0] / np.linalg.norm(lower[1], axis=0)
    assert np.allclose(coherence, np.sinc(2 * hz * 0.16 / SPEED_OF_SOUND), atol=0.04)


def test_the_tail_has_the_power_and_coherence_that_the_head_has_in_a_diffuse_field():
    head, room = Sphere(), draw_room(np.random.default_rng(3))
    azimuth, elevation = rooms.sphere_of_directions(3000)
    left, right = head.responses(azimuth, elevation, RATE, 512).numpy()
    powers = [(np.abs(ear) ** 2).mean(0) for ear in (left, right)]
    theory = (left * right.conj()).mean(0).real / np.sqrt(powers[0] * powers[1])
    tails = [room.reverberation(np.array([[0.3, 1.0, 0.0]]), head, number)[1] for number in range(24)]
    for hz in (250, 500, 1000, 2000, 4000):
        parts = octave(np.concatenate([np.pad(tail, ((0, 0), (0, 500))) for tail in tails], 1), hz)
        measured = (parts[0] * parts[1]).sum() / np.sqrt((parts**2).sum(1).prod())
        bins = (np.arange(257) * RATE / 512 > hz / 2**0.5) & (np.arange(257) * RATE / 512 < hz * 2**0.5)
        assert measured == pytest.approx(theory[bins].mean(), abs=0.12), hz


def test_images_are_mirrored_at_the_walls():
    room, position = draw_room(np.random.default_rng(0)), np.array([[0.4, 0.5, 0.1]])

    def mirrored(at, axis, wall):
        inside = at @ room._axes
        inside[..., axis] = 2 * room.walls[axis, wall] - inside[..., axis]
        return inside @ room._axes.T

    walls = list(np.ndindex(3, 2))
    once = [mirrored(position, *wall) for wall in walls]
    twice = [mirrored(image, *wall) for image, last in zip(once, walls) for wall in walls if wall != last]
    for images, orders in ((once, (1,)), (twice, (2,))):
        found = room.images(position, *orders)[:, 0]
        apart = np.linalg.norm(found[:, None] - np.concatenate(images)[None], axis=-1)
        assert apart.min(0).max() < 1e-9
        assert apart.min(1).max() < 1e-9
    hz, factors = np.array([1000.0]), room.reflection(np.array([1000.0]), 1, 2)[:, 0]
    by_cell = dict(zip(map(tuple, lattice((1, 2))), factors, strict=True))
    assert by_cell[1, 1, 0] == pytest.approx(by_cell[1, 0, 0] * by_cell[0, 1, 0])
    assert by_cell[0, 0, 2] == pytest.approx(by_cell[0, 0, 1] * by_cell[0, 0, -1])
    assert np.all(room.reflection(8 * hz, 1) < room.reflection(hz, 1))


def test_rooms_cover_the_spread_and_sources_stay_inside():
    many, ratios, distances = drawn(200), [], []
    for seed, room in enumerate(many):
        rng = np.random.default_rng(seed)
        assert np.abs(room.walls).min() >= 0.8 - 1e-9
        assert room.size.max() <= 10
        for _ in range(2):
            path = placed_in(draw_path(rng, 4.0), room, 4.0)
            inside = path(np.linspace(0, 4, 200)) @ room._axes
            assert np.all((inside > room.walls[:, 0]) & (inside < room.walls[:, 1]))
            distances.append(path.distance)
            ratios.append(room.drr_at(path.distance))
    times = [room.rt60 for room in many]
    for values, (low, high) in ((np.log(times), np.log(RT60)), ([r.drr for r in many], DRR), (ratios, DRR)):
        shares = np.histogram(values, np.linspace(low, high, 6))[0] / len(values)
        assert shares.min() > 0.08
    assert DISTANCE[0] - 1e-9 <= min(distances) < 0.7
    assert max(distances) > 4
    assert np.mean((np.array(ratios) > DRR[0] - 0.01) & (np.array(ratios) < DRR[1] + 0.01)) > 0.97


def test_a_room_is_its_seeds_and_changes_the_reverberation_alone():
    one, again = drawn(1), drawn(1)
    sounds = np.random.default_rng(0).standard_normal((2, RATE // 2))
    paths = [still([0.3, 1.0, 0.0]), still([-0.4, 0.8, 0.1])]
    wet, same, dry = (mix_at_ears(sounds, paths, Sphere(), room) for room in (one[0], again[0], None))
    assert np.array_equal(wet, same)
    assert not np.array_equal(wet, dry)
    first = 30  # samples: no reflection is so early that it reaches the first ones
    assert np.allclose(wet[:, :first], dry[:, :first], atol=2e-2)
    tails = [one[0].reverberation(paths[0](np.zeros(1)), Sphere(), number)[1] for number in (0, 1)]
    n = min(tail.shape[1] for tail in tails)
    assert abs(np.corrcoef(tails[0][0, :n], tails[1][0, :n])[0, 1]) < 0.2
    assert np.array_equal(simulate(5, seconds=0.5).binaural, simulate(5, seconds=0.5).binaural)
