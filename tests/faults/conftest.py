"""Fixtures of the fault tests: small trained models, scripts, a count of the faults survived."""

import json
from collections import Counter
from pathlib import Path

import pytest
from scripted import Script, Traced, dump_words, stage1_words, vocoder_words

COUNTS = Counter()
# tests of this folder that `make test` runs too; `make test-faults` runs all
SHORT = (
    "test_damaged.py",
    "test_hundred_mistakes.py",
    "test_properties.py",
    "test_asked_to_stop_a_training_saves_first_and_says_so[vocoder-SIGTERM]",
    "test_two_trainings_in_one_folder_the_second_refuses_while_the_first_lives[vocoder]",
    "test_resume_takes_the_state_before_and_says_so[stage1-flipped]",
    "test_what_cannot_be_written_is_named[vocode]",
    "test_a_pickle_in_a_checkpoint_is_refused_and_not_run[stage1/unet_best.pth-e2e]",
    "test_bombs_are_refused_within_bounds",
    "test_html_in_ids_and_names_of_systems_is_inert",
    "test_sounds[claims 4 GB-e2e]",
    "test_videos[no picture-e2e]",
    "test_lists[an id that climbs-dump]",
    "test_boxes[frame 0-e2e]",
    "test_mels[claims a terabyte-vocode]",
    "test_settings[nested 100,000 deep-run]",
)
TINY = Path(__file__).parents[2] / "BigVGAN/configs/bigvgan_binaural_tiny.json"


def pytest_collection_modifyitems(items):
    """Mark all tests but the short form as slow."""
    for item in items:
        if "/faults/" in item.nodeid and not any(name in item.nodeid for name in SHORT):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tally():
    """tally("kills survived") adds one to a count."""

    def count(what, number=1):
        COUNTS[what] += number

    return count


def pytest_terminal_summary(terminalreporter):
    """Print the counts that SECURITY.md quotes."""
    if COUNTS:
        lost = sum("Lost" in str(report.longrepr) for report in terminalreporter.getreports("failed"))
        traces = sum("Traced" in str(report.longrepr) for report in terminalreporter.getreports("failed"))
        terminalreporter.section("faults")
        summary = ", ".join(f"{COUNTS[what]} {what}" for what in sorted(COUNTS))
        terminalreporter.write_line(f"{summary}; {lost} files lost, {traces} tracebacks")


@pytest.fixture
def start(tmp_path):
    """start(script, *words, RLIMIT_…=…) -> a running script."""
    started = []

    def begin(script, *words, **limits):
        started.append(Script(script, *words, log=tmp_path / f"log{len(started)}", **limits))
        return started[-1]

    yield begin
    for one in started:
        one.kill(9)


@pytest.fixture
def ends(start):
    """ends(script, *words) -> the outcome of a script that runs to its end; a traceback is a failure."""

    def run(script, *words, seconds=120, **limits):
        outcome = start(script, *words, **limits).end(seconds)
        if "Traceback" in outcome.output:
            raise Traced(outcome.output)
        return outcome

    return run


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """The demo's vocoder, narrower still."""
    path = tmp_path_factory.mktemp("config") / "c.json"
    path.write_text(
        json.dumps(
            {
                **json.loads(TINY.read_text()),
                "upsample_initial_channel": 16,
                "resblock_kernel_sizes": [3],
                "resblock_dilation_sizes": [[1]],
                "batch_size": 4,
                "segment_size": 4096,
                "mpd_reshapes": [2, 3],
            }
        )
    )
    return path


@pytest.fixture(scope="session")
def stage1(scenes, tmp_path_factory):
    """An undisturbed stage-1 run."""
    root = tmp_path_factory.mktemp("stage1")
    outcome = Script("DiffBinaural.train_realBinaural", *stage1_words(scenes, root), log=root / "log").end()
    assert outcome.status == 0, outcome.output
    return root / "run"


@pytest.fixture(scope="session")
def vocoder(scenes, config, tmp_path_factory):
    """An undisturbed vocoder run."""
    root = tmp_path_factory.mktemp("vocoder")
    outcome = Script(
        "BigVGAN.train_binaural_mel", *vocoder_words(scenes, root / "run", config), log=root / "log"
    ).end()
    assert outcome.status == 0, outcome.output
    return root / "run"


@pytest.fixture(scope="session")
def dumped(scenes, stage1, scripts, tmp_path_factory):
    """Generated mels of the training and the validation list."""
    out = tmp_path_factory.mktemp("dumped") / "mels"
    for split in ("train", "val"):
        scripts("DiffBinaural.test_realBinaural", *dump_words(stage1, scenes, out), "--list_test", split)
    return out
