"""Command lines from config dataclasses: precedence, aliases, errors."""

import json
import signal
import subprocess
import sys
import types
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from DiffBinaural.configs.advanced_diffusion_config import PRESETS, MelConfig, TrainConfig
from DiffBinaural.configs.fields import from_dict, option, required
from DiffBinaural.experiments.config import StepsConfig
from DiffBinaural.inference.config import GenerateConfig
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.utils.arguments import parse, run

ROOT = Path(__file__).parents[2]
NEEDED = ["--id", "a", "--data_root", "d"]


def test_flag_beats_preset_beats_default():
    assert parse(TrainConfig, PRESETS, NEEDED).lr_unet == TrainConfig.__dataclass_fields__["lr_unet"].default
    assert parse(TrainConfig, PRESETS, [*NEEDED, "--preset", "tiny"]).lr_unet == PRESETS["tiny"]["lr_unet"]
    assert parse(TrainConfig, PRESETS, [*NEEDED, "--preset", "tiny", "--lr_unet", "3e-5"]).lr_unet == 3e-5


def test_nested_dataclasses_come_from_the_preset():
    assert parse(TrainConfig, PRESETS, [*NEEDED, "--preset", "tiny"]).view == PRESETS["tiny"]["view"]


def test_a_bool_can_be_turned_off():
    assert parse(TrainConfig, PRESETS, NEEDED).mirror is True
    assert parse(TrainConfig, PRESETS, [*NEEDED, "--no-mirror"]).mirror is False


def test_a_range_of_sources():
    assert parse(SimulateConfig, argv=["--out", "x", "--sources", "2..3"]).sources == (2, 3)
    assert parse(SimulateConfig, argv=["--out", "x", "--sources", "2"]).sources == (2, 2)


@pytest.mark.parametrize(
    "words",
    [[*NEEDED, "--lr", "1"], ["--id", "a"], [*NEEDED, "--objective", "x"], [*NEEDED, "--lr_unet", "fast"]],
)
def test_a_wrong_flag_is_an_error(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(TrainConfig, PRESETS, words)
    assert "error:" in capsys.readouterr().err


def test_a_field_without_help_is_an_error():
    @dataclass(frozen=True)
    class Silent:
        a: int = 3

    with pytest.raises(KeyError):
        parse(Silent, argv=[])


def test_a_percent_sign_in_a_help_text_is_text(capsys):
    @dataclass(frozen=True)
    class Percent:
        a: int = option(3, "50 % of it")
        b: str = field(default="x", metadata={"help": "b"})

    with pytest.raises(SystemExit, match="0"):
        parse(Percent, argv=["--help"])
    assert "50 % of it [3]" in " ".join(capsys.readouterr().out.split())


@dataclass(frozen=True)
class Renamed:
    """A config with spellings of an earlier version."""

    fraction: float = option(0.5, "a fraction", aliases=("--share", "--part"))
    renderer: Literal["auto", "mono_phase"] = option("auto", "the renderer", renamed={"mono": "mono_phase"})
    mirror: bool = option(True, "mirror", aliases=("--flip",))


def test_an_alias_is_another_spelling_of_a_flag_and_is_hidden(capsys):
    assert parse(Renamed, argv=[]) == Renamed()
    for flag in ("--fraction", "--share", "--part"):
        assert parse(Renamed, argv=[flag, "0.25"]).fraction == 0.25
    assert parse(Renamed, argv=["--no-flip"]).mirror is False
    assert parse(Renamed, argv=["--share", "0.25", "--fraction", "0.75"]).fraction == 0.75
    assert parse(SimulateConfig, argv=["--out", "x", "--dry_share", "0.3"]).dry_fraction == 0.3
    assert parse(SimulateConfig, argv=["--out", "x", "--audio_share", "0.3"]).audio_fraction == 0.3
    with pytest.raises(SystemExit, match="0"):
        parse(Renamed, argv=["--help"])
    shown = capsys.readouterr().out
    assert "--fraction" in shown
    assert not [word for word in ("share", "part", "flip") if word in shown]


def test_the_old_word_of_a_renamed_choice_becomes_the_new_one(capsys):
    assert parse(Renamed, argv=["--renderer", "mono"]).renderer == "mono_phase"
    assert parse(Renamed, argv=["--renderer", "mono_phase"]).renderer == "mono_phase"
    with pytest.raises(SystemExit, match="2"):
        parse(Renamed, argv=["--renderer", "stereo"])
    said = capsys.readouterr().err
    assert "invalid choice: 'stereo'" in said
    assert "'mono'" not in said


def test_help_shows_the_docstring_of_the_module_that_defines_main(monkeypatch, capsys):
    """A console script's __main__ is another module."""

    def main(cfg: Renamed):
        raise AssertionError("--help runs nothing")

    module = types.ModuleType("some_script", "What some script does.")
    monkeypatch.setitem(sys.modules, "some_script", module)
    monkeypatch.setattr(main, "__module__", "some_script")
    monkeypatch.setattr(sys, "argv", ["some-command", "--help"])
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    monkeypatch.setattr("threading.excepthook", None)
    with pytest.raises(SystemExit, match="0"):
        run(main)
    shown = capsys.readouterr().out
    assert "usage: some-command" in shown
    assert "What some script does." in shown


def test_a_config_survives_json():
    cfg = replace(parse(TrainConfig, PRESETS, [*NEEDED, "--preset", "tiny"]), mel=MelConfig(fmax=8000.0))
    assert from_dict(TrainConfig, json.loads(json.dumps(asdict(cfg))), "config.json") == cfg


def test_an_unknown_key_is_named_with_its_file():
    with pytest.raises(ValueError, match=r"some\.json: unknown hopp"):
        from_dict(MelConfig, {"hopp": 3}, "some.json")


def test_a_missing_key_is_named_with_its_file():
    @dataclass(frozen=True, kw_only=True)
    class Needs:
        a: int = required("a")

    with pytest.raises(ValueError, match=r"some\.json: .*'a'"):
        from_dict(Needs, {}, "some.json")


def test_a_value_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="sampling_timesteps is 0"):
        GenerateConfig(run="r", data_root="d", output_dir="o", sampling_timesteps=0)
    with pytest.raises(ValueError, match="--samplers euler"):
        StepsConfig(run="r", data_root="d", output_dir="o", samplers=("ddim", "euler"))


def test_a_users_mistake_ends_as_one_line_and_status_2(tmp_path):
    words = ["--run", tmp_path / "none", "--data_root", tmp_path, "--output_dir", tmp_path / "out"]
    script = ROOT / "DiffBinaural/test_realBinaural.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "config.json" in done.stderr
    assert not (tmp_path / "out").exists()
