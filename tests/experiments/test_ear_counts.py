"""The experiment that counts how often the ear check is right."""

import json


def test_every_scene_is_counted_once_and_no_mono_copy_has_ears(scripts, scenes, tmp_path):
    out = tmp_path / "ears.json"
    scripts("DiffBinaural.experiments.evaluate_ears", "--data_root", scenes, "--output_json", out)
    counts = json.loads(out.read_text())
    scene_count = len(list((scenes / "videos").glob("*.mp4")))
    assert sum(counts["swapped"].values()) == scene_count // 2
    assert sum(counts["agrees"].values()) == scene_count - scene_count // 2
    assert [kind for kind in counts if kind.startswith("mono copy")] == [
        "mono copy",
        "mono copy, one softer",
        "mono copy, one late",
        "mono copy, one inverted",
    ]
    for kind, found in counts.items():
        if kind.startswith("mono copy"):
            assert found == {"mono": scene_count}
    assert not counts["swapped"].get("agrees")
    assert not counts["agrees"].get("swapped")
