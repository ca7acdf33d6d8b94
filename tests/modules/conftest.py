"""Untrained models to test with."""

import pytest
import torch

from DiffBinaural.modules.models import ModelBuilder


@pytest.fixture(scope="session")
def untrained():
    """TrainConfig -> a model in eval mode whose every weight acts: what starts at zero gets values too."""

    def build(cfg):
        torch.manual_seed(0)
        net = ModelBuilder(cfg).build().eval()
        with torch.no_grad():
            for p in net.parameters():
                if not p.any():
                    p.normal_(std=0.1)
        return net

    return build
