"""Whether two channels agree with the picture, are swapped, or are one sound."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.dataset_real_binaural import BINAURAL
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.channel_pairs import ChannelPair
from DiffBinaural.inference.ears import compare_with_picture
from DiffBinaural.utils.audio import write_wav
from DiffBinaural.utils.media import pictures
from DiffBinaural.utils.media_writing import write_video

CFG = MelConfig()
RATE, SECONDS = CFG.sample_rate, 3.0
SPHERE = head_named("sphere")


def syllables(seed=0, seconds=SECONDS):
    """Noise that falls towards high frequencies, in syllables of irregular loudness, (N,)."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    knots = np.cumsum(random.uniform(0.05, 0.2, 90))
    level = np.interp(np.arange(count) / RATE, knots, random.random(90) ** 3)
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum *= 1 / (1 + np.fft.rfftfreq(count, 1 / RATE) / 1000)
    return 0.2 * level * np.fft.irfft(spectrum, count)


def placed(sound, azimuth, head=SPHERE):
    """Both ears (2, N) of a sound (N,) in a direction in degrees."""
    size = 1 << 18
    ears = head.responses(np.array([azimuth]), np.zeros(1), RATE, size)[:, 0]
    wav = torch.from_numpy(sound).float()
    return torch.fft.irfft(torch.fft.rfft(wav, size) * ears)[:, : len(sound)]


def at(*azimuths, sounding=1.0):
    """Sources that stay at these azimuths in degrees, as of SourcePaths.directions."""
    rows = torch.tensor([[azimuth, 0.0, sounding] for azimuth in azimuths])[..., None]
    return lambda times: rows.repeat(1, 1, len(times))


def blind(times):
    raise AssertionError("pictures are not looked at where there is one sound")


def checked(pair, directions, head=SPHERE):
    return compare_with_picture([torch.as_tensor(pair, dtype=torch.float32)], directions, head)


@pytest.mark.parametrize("head", ["sphere", "kemar"])
@pytest.mark.parametrize("azimuth", [-50, -12, 25])
def test_where_it_sounds_from_decides(azimuth, head):
    pair = placed(syllables(), azimuth, head_named(head))
    assert checked(pair, at(azimuth)).verdict == "agrees"
    assert checked(pair, at(-azimuth)).verdict == "swapped"
    assert checked(pair.flip(0), at(azimuth)).verdict == "swapped"


def test_exchanged_channels_exchange_the_probabilities():
    pair = placed(syllables(), 20) + placed(syllables(1), -35)
    for head in (SPHERE, head_named("kemar")):
        one, other = (checked(p, at(20, -35), head) for p in (pair, pair.flip(0)))
        assert (one.agrees, one.swapped) == pytest.approx((other.swapped, other.agrees), abs=1e-5)
        assert one.verdict == "agrees"


@pytest.mark.parametrize("size", [1000, 22_050, 40_000])
def test_a_sound_may_come_in_blocks_of_any_size(size):
    pair = placed(syllables(), 15)
    whole = checked(pair, at(15, -40))
    parts = compare_with_picture(pair.split(size, dim=1), at(15, -40), SPHERE)
    assert (parts.agrees, parts.swapped) == pytest.approx((whole.agrees, whole.swapped), abs=1e-4)


def test_one_that_does_not_sound_does_not_decide():
    pair = placed(syllables(), 30)
    assert checked(pair, at(30, -12, 8)).verdict == "agrees"
    assert checked(pair, at(-30, 12, -8)).verdict == "swapped"


def test_it_is_no_surer_than_that_a_source_sounds():
    pair = placed(syllables(), 30)
    sure, unsure = (checked(pair, at(30, sounding=chance)) for chance in (0.95, 0.5))
    assert (sure.verdict, unsure.verdict) == ("agrees", "agrees")
    assert unsure.confidence < 0.9 < sure.confidence


@pytest.mark.parametrize("seen", [(0,), (30, -30), ()], ids=["middle", "both sides", "nothing"])
def test_what_looks_alike_in_a_mirror_cannot_be_told(seen):
    found = checked(placed(syllables(), 30), at(*seen) if seen else at(30, sounding=0.0))
    assert found.verdict == "cannot tell"
    assert found.agrees == pytest.approx(found.swapped, abs=0.02)


def test_sound_from_elsewhere_cannot_be_told():
    turning = np.linspace(-60, 60, 7)
    pair = torch.cat([placed(syllables(k, 0.5), turning[-1 - k]) for k in range(7)], dim=1)
    assert checked(pair, at(55)).verdict == "cannot tell"


COPIES = {
    "same": lambda m: (m, m),
    "softer": lambda m: (m, 0.4 * m),
    "inverted": lambda m: (m, -0.8 * m),
    "late as between ears": lambda m: (m, np.roll(m, 8)),
    "late": lambda m: (m, 0.9 * np.roll(m, 130)),
    "left late": lambda m: (np.roll(m, 400), m),
    "empty": lambda m: (0 * m, m),
    "nearly empty": lambda m: (m, 1e-3 * np.random.default_rng(1).standard_normal(len(m)) * np.abs(m).mean()),
    "silent": lambda m: (0 * m, 0 * m),
}


@pytest.mark.parametrize("kind", COPIES)
def test_one_sound_is_mono(kind):
    found = checked(np.stack(COPIES[kind](syllables())), blind)
    assert (found.verdict, found.agrees, found.swapped) == ("mono", 0, 0)


def test_a_delay_is_measured():
    mono = syllables()
    pair = ChannelPair(RATE)
    pair.push(torch.from_numpy(np.stack([np.roll(mono, 221), mono])).float(), last=True)
    delay, sign = pair.lag()
    assert (round(delay * RATE), sign) == (-221, 1)


@pytest.mark.parametrize("azimuth", [4, 15, 60])
def test_a_head_is_no_copy(azimuth):
    pair = ChannelPair(RATE)
    pair.push(placed(syllables(), azimuth), last=True)
    assert not pair.one_sound()


@pytest.mark.parametrize("count", [1, 1023, 1024, 1279, 65_536, 65_700])
def test_a_sound_of_any_length_has_a_verdict(count):
    found = checked(placed(syllables(), 40)[:, :count], at(40))
    assert found.verdict in ("agrees", "cannot tell")
    assert found.agrees >= found.swapped


def verdicts(path):
    with open(path) as file:
        return {row["video_id"]: row for row in csv.DictReader(file)}


@pytest.fixture
def halves(scenes, tmp_path):
    """The simulated dataset with voices at 30 degrees in place of its sounds: swapped, mono, right ones."""
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    names = sorted(path.stem for path in (root / BINAURAL).glob("*.wav"))
    rows = []
    for k, name in enumerate(names):
        pair = placed(syllables(k, 1.5), 30)
        pair = {0: pair, 1: pair.flip(0), 2: pair.mean(0, keepdim=True).expand(2, -1)}[k % 3]
        write_wav(root / BINAURAL / f"{name}.wav", pair.numpy(), RATE)
        x = 120 * (1 + np.tan(np.radians(30)) / np.tan(np.radians(60)))
        rows += [f"{name},{n},{x - 10},50,{x + 10},70,0.9" for n in range(1, 16)]
    table = root / "action_detection_results/detection_results.csv"
    table.write_text("video_id,frame,x1,y1,x2,y2,score\n" + "\n".join(rows) + "\n")
    return root, names


def test_a_dataset_gives_a_row_for_each_recording(scripts, halves, tmp_path, capsys):
    root, names = halves
    scripts("DiffBinaural.check_ears", "--input", root, "--output", tmp_path / "ears.csv")
    wanted = [("agrees", "swapped", "mono")[k % 3] for k in range(len(names))]
    found = verdicts(tmp_path / "ears.csv")
    assert [found[name]["verdict"] for name in names] == wanted
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == len(names)
    assert "ears.csv" in last


def test_videos_in_a_list_with_their_detections(scripts, halves, tmp_path, capsys):
    root, (name, second, *_) = halves
    pair, _ = soundfile.read(root / BINAURAL / f"{name}.wav", dtype="float32")
    shown = list(pictures(root / f"videos/{name}.mp4", 10))
    write_video(tmp_path / f"{name}.mp4", shown, 10, pair.T, RATE)
    write_video(tmp_path / f"{second}.mp4", shown, 10, pair.T[:1], RATE)
    table = root / "action_detection_results/detection_results.csv"
    flipped = root / BINAURAL / f"{second}.wav"
    (tmp_path / "list.csv").write_text(
        f"input_video,input_wav,detections\n{name}.mp4,,{table}\n{second}.mp4,,{table}\n"
        f"{second}.mp4,{flipped},{table}\nmissing.mp4,,\n"
    )
    with pytest.raises(ValueError, match="1 of 4"):
        scripts("DiffBinaural.check_ears", "--input", tmp_path / "list.csv", "--output", tmp_path / "out.csv")
    said = capsys.readouterr()
    assert [line.split(" (")[0] for line in said.out.splitlines()] == [
        f"{name}: agrees",
        f"{second}: mono",
        f"{second}: swapped",
    ]
    assert "missing.mp4" in said.err
    assert verdicts(tmp_path / "out.csv")[name]["verdict"] == "agrees"


def test_other_channels_are_refused(scripts, halves, tmp_path):
    root, (name, *_) = halves
    write_wav(tmp_path / "six.wav", np.zeros((6, RATE), np.float32), RATE)
    video = root / f"videos/{name}.mp4"
    with pytest.raises(ValueError, match="6 channels"):
        scripts("DiffBinaural.check_ears", "--input", video, "--input_wav", tmp_path / "six.wav")
    with pytest.raises(ValueError, match="dataset"):
        scripts("DiffBinaural.check_ears", "--input", root, "--input_wav", tmp_path / "six.wav")
