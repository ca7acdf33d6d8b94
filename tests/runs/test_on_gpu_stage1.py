"""A step of stage 1 on a GPU is the CPU's, and the host does not wait for it.  Run with: pytest -m gpu"""

from pathlib import Path

import pytest
import torch
from gpu_checks import Bed, waits_of_a_step

from DiffBinaural.training import Steps, backward

pytestmark = pytest.mark.gpu


def bed_on(device, folder):
    return Bed(torch.device(device), Path(folder), dry=True)


@pytest.mark.parametrize("compiled", [False, True])
def test_steps_of_stage_1_are_the_cpus(compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    found = {}
    for device in ("cpu", "cuda"):
        bed = bed_on(device, tmp_path)
        run = bed.stage1(device, batch_size_per_gpu=2)
        if compiled and device == "cuda":
            run.model.unet.compile()
        batch, steps = bed.windows(run.cfg), Steps(run, None)
        run.set_rates(0.0)
        for _ in range(3):
            steps.take(backward(run.model.train(), batch, run, last=True))
        found[device] = [(loss.item(), norm.item()) for _, loss, norm, _ in steps.unread]
    for ours, theirs in zip(found["cuda"], found["cpu"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_the_host_does_not_wait_in_a_step(tmp_path):
    assert waits_of_a_step(bed_on("cuda", tmp_path)) == {}


def test_a_bad_step_on_a_gpu_leaves_the_weights_alone_and_is_counted_later(tmp_path):
    bed = bed_on("cuda", tmp_path)
    run = bed.stage1("bad", batch_size_per_gpu=2)
    batch = bed.windows(run.cfg)
    batch["mono_mel"] *= torch.nan
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    steps = Steps(run, None)
    steps.take(backward(run.model.train(), batch, run, last=True))
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    run.safe_step.count(steps.unread[0][2].item())
    assert run.safe_step.skipped == 1
