# SPDX-License-Identifier: Apache-2.0
"""A mapping names the variables whose order says nothing."""

import pytest

from tests.artefact_models import Part, Weights
from tests.artefact_small import SMALL, small_parts, write
from tests.modes import assert_same_bits
from tpufi.contrib.isca23.checkpoint import (
    by_mapping,
    format_mapping,
    read_checkpoint,
    read_mapping,
)
from tpufi.errors import InputError


@pytest.fixture
def shuffled(tmp_path):
    """A checkpoint whose order says nothing, and the values it must give."""
    w = Weights()
    parts = small_parts(w)
    order = ("conv3", "conv1", "conv0", "conv2")
    root = Part(**{name: parts[name] for name in order})
    return read_checkpoint(write(root, tmp_path / "x")), w.values


LINES = r"""checkpoint,weight
conv(\d)/kernel,a_conv\1/kernel
conv(\d)/additive/bias,a_conv\1_bias/bias
"""


def test_a_mapping_names_what_order_cannot(shuffled, tmp_path):
    checkpoint, values = shuffled
    file = tmp_path / "map.csv"
    file.write_text(LINES)
    assignment = by_mapping(checkpoint, SMALL, read_mapping(file), file)
    assert assignment.keys() == values.keys()
    for name, variable in assignment.items():
        assert_same_bits(checkpoint.value(variable.path), values[name])
    file.write_text(format_mapping(assignment))
    assert by_mapping(checkpoint, SMALL, read_mapping(file), file) == assignment


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("checkpoint,", "key,", ":1: expected the header checkpoint,weight"),
        ("a_conv\\1/kernel", "a,b", ":2: has 3 cells"),
        ("conv(\\d)/kernel", "conv(/kernel", r":2: 'conv\(/kernel' is no regular"),
        ("a_conv\\1/kernel", "a_conv\\2/kernel", ":2: .* cannot be filled in"),
        ("a_conv\\1/kernel", "b\\1", "becomes 'b3', which is no weight of small"),
        ("a_conv\\1/kernel", "a_conv1/kernel", "becomes a_conv1/kernel, and so does"),
        ("a_conv\\1_bias/bias", "a_conv\\1_bias/bias\nx,y,z", ":4: has 3 cells"),
        ("additive/bias,a_conv\\1_bias/bias", "additive/bias,a_conv0/kernel",
         r"expected a_conv0/kernel \(3, 3, 3, 4\), found conv3/additive/bias \(4,\)"),
        ("conv(\\d)/k", "conv([123])/k",
         r"for a_conv0/kernel \(3, 3, 3, 4\); found without a line: conv0/kernel"),
        ("additive/bias,", ".*,", "lines 2 and 3 both match conv3/kernel"),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_says_which_line(
    old, new, message, shuffled, tmp_path
):
    file = tmp_path / "map.csv"
    assert old in LINES
    file.write_text(LINES.replace(old, new))
    with pytest.raises(InputError, match=message):
        by_mapping(shuffled[0], SMALL, read_mapping(file), file)
