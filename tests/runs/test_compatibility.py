"""Which runs may be taken as they are: what a command line would have to say."""

import json
from dataclasses import asdict, replace

import pytest

from DiffBinaural.configs.advanced_diffusion_config import PRESETS, TrainConfig, preset_config
from DiffBinaural.runs.compatibility import check_same_model, flags_for, flattened
from DiffBinaural.runs.state import LATEST, check_start
from DiffBinaural.utils.arguments import parse


def with_model(cfg, **given):
    return replace(cfg, model=replace(cfg.model, **given))


def saved(folder, cfg):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(asdict(cfg)))
    return folder


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("phase", [False, True])
def test_the_flags_that_are_named_give_a_model_that_is_built_alike(tmp_path, preset, phase):
    needed = {"id": "new", "data_root": "data"}
    other = with_model(preset_config(preset, id="old", data_root="data"), interaural_phase=phase)
    run = saved(tmp_path / "old", other)
    for mine in ("tiny", "base"):
        cfg = preset_config(mine, **needed)
        names = [
            name
            for name, value in flattened(asdict(other)).items()
            if flattened(asdict(cfg)).get(name) != value
        ]
        flags = flags_for(other, cfg, [name for name in names if name in ("arch_frame", "interaural_phase")])
        words = [word for name, value in needed.items() for word in (f"--{name}", value)]
        given = flags.split() if "--preset" in flags else ["--preset", mine, *flags.split()]
        check_same_model(str(run), parse(TrainConfig, PRESETS, [*words, *given]))


def test_a_start_is_refused_before_a_network_is_built(tmp_path):
    other = preset_config("small", id="old", data_root="data")
    run = saved(tmp_path / "old", other)
    cfg = preset_config("tiny", id="new", data_root="data", ckpt=str(tmp_path), init_from=str(run))
    with pytest.raises(ValueError, match=r"--init_from .*give --preset small"):
        check_start(cfg)
    assert not (tmp_path / "new").exists()
    check_start(replace(other, id="new", ckpt=str(tmp_path), init_from=str(run)))
    (run / LATEST).touch()
    with pytest.raises(ValueError, match="another --"):
        check_start(preset_config("tiny", id="old", data_root="data", ckpt=str(tmp_path)))
