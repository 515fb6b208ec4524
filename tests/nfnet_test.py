# SPDX-License-Identifier: Apache-2.0
"""NF-ResNet is scaled and starts as published."""

import math

import numpy as np
import pytest

from tpufi.layers import Scale
from tpufi.models import workload
from tpufi.training import initial_state


def test_activations_are_scaled_by_the_expected_deviation_of_their_input():
    scales = {
        la.name: la.factor for la, _ in workload("nfnet").layers if type(la) is Scale
    }
    first = [scales.pop(f"NF_ResNet_block_{block}_scale0") for block in range(8)]
    betas = [1.0, *[0.70711, 0.57735] * 3, 0.70711]
    np.testing.assert_allclose(first, np.array(betas) * 1.7139588594436646, rtol=1e-5)
    assert len(scales) == 2 * 8 + 1
    assert set(scales.values()) == {1.7139588594436646}


def test_first_kernels_have_variance_one_over_fan_in():
    weights = initial_state(workload("nfnet"), 4).parameters
    name = "NF_ResNet_block_6_conv1"
    assert np.var(weights[f"{name}/kernel"]) == pytest.approx(1 / (9 * 512), rel=0.01)
    # Not cut: of 2.4 million normal values about 150 are beyond 4 deviations.
    assert np.abs(weights[f"{name}/kernel"]).max() > 4 / math.sqrt(9 * 512)
    assert (weights[f"{name}/gain"].numpy() == 1).all()
    assert float(weights["NF_ResNet_block_6_skip_gain/gain"]) == 0
