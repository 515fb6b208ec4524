# SPDX-License-Identifier: Apache-2.0
"""Squeeze-excite of EfficientNet-B0 stands where it should."""

import pytest

from tpufi.faults.artefact_lists import sampling_list
from tpufi.layers import ChannelProduct, Conv2D, Gate, GlobalAveragePooling, Swish
from tpufi.models import workload


def test_the_sampling_list_names_exactly_the_convolutions():
    layers = [layer for layer, _ in workload("effnet").layers]
    convolutions = {la.name for la in layers if isinstance(la, Conv2D)}
    assert set(sampling_list("effnet", "fwrd_inject")) == convolutions


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("effnet", ("bn2", "se_product", "swish2")),
        ("effnet_reference", ("bn2", "swish2", "se_product")),
    ],
)
def test_squeeze_excite_stands_where_it_should(name, order):
    names = [layer.name for layer, _ in workload(name).layers]
    at = [names.index(f"block4_mbconv_1_{part}") for part in order]
    assert at == sorted(at)
    shapes = {w.name: w.shape for w in workload(name).parameters}
    reduced = shapes["block4_mbconv_1_se_reduce_conv/kernel"]
    assert reduced == (1, 1, 480, 120 if name == "effnet" else 20)


def test_a_gate_that_does_not_fit_is_refused():
    product = ChannelProduct("product")
    assert Gate(GlobalAveragePooling("pool", True), product).output_shape((4, 4, 3))
    with pytest.raises(ValueError, match=r"gate of \(4, 4, 3\) is \(1, 1, 3\)"):
        Gate(Swish("swish"), product).output_shape((4, 4, 3))
