# SPDX-License-Identifier: Apache-2.0
"""TensorFI's configuration: what parses, and what is told of the rest (F1 to F6)."""

import logging

import pytest

import tpufi
from tpufi.contrib.tensorfi.config import operation_config, read_config
from tpufi.contrib.tensorfi.operation_names import NEVER_INJECTED, Ops, types_of

BASE = {"TensorFaultType": "bitFlip-element", "InjectMode": "errorRate", "Seed": 1}

DEFAULT = """
Seed: 1000
ScalarFaultType: None
TensorFaultType: bitFlip-element
Ops:
  - CONV2D = 0.25
  - ALL = 0.01
SkipCount: 2
Instances:
  - CONV2D = 2
InjectMode: "errorRate"
"""


def test_a_file_like_tensorfis_parses(tmp_path):
    path = tmp_path / "default.yaml"
    path.write_text(DEFAULT)
    config = operation_config(read_config(path))
    assert config.probabilities == {"CONV2D": 0.25, "ALL": 0.01}
    assert (config.seed, config.skip, config.instances) == (1000, 2, {"CONV2D": 2})
    assert not config.legacy and config.bit_model == "ieee"


@pytest.mark.parametrize(
    ("change_of", "message"),
    [
        ({"Ops": ["ADD = 1.5"]}, "'ADD = 1.5'; expected a probability from 0 to 1"),
        ({"Ops": ["ADD = -0.5"]}, "expected a probability from 0 to 1"),
        ({"Ops": ["ADD = nan"]}, "expected a probability from 0 to 1"),
        ({"Ops": ["ADDD = 1"]}, "operation 'ADDD' is unknown; nearest names: ADD"),
        ({"Ops": ["ADD = 1", "ADD = 0"]}, "ADD stands twice"),
        ({"Ops": []}, "Ops"),
        (
            {"TensorFaultType": "bitflip"},
            "'bitflip'; expected .*bitFlip-element",
        ),
        ({"InjectMode": "once"}, "expected one of"),
        ({"Seed": -1}, "expected a whole number from 0"),
        ({"Seed": "9" * 5000}, "expected a whole number from 0"),
        ({"Instances": ["ADD = 0"]}, "1 or more"),
        (
            {"SkipCounts": 1},
            "unknown key 'SkipCounts'; known, nearest first: SkipCount",
        ),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(change_of, message):
    good = BASE | {"Ops": ["ADD = 1"]}
    operation_config(read_config(good))
    with pytest.raises(tpufi.InputError, match=message) as caught:
        operation_config(read_config(good | change_of))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["Ops", "InjectMode"])
def test_a_missing_key_is_an_error(key):
    good = BASE | {"Ops": ["ADD = 1"]}
    del good[key]
    with pytest.raises(tpufi.InputError, match=f"no key '{key}'"):
        operation_config(read_config(good))


def test_legacy_passes_over_what_is_unknown_with_a_warning(caplog):
    given = {"Ops": ["ADDD = 1", "ADD = 1"], "InjectMode": "once", "Colour": "red",
             "Seed": ""}  # fmt: skip
    with caplog.at_level(logging.WARNING, "tpufi.instrument"):
        config = operation_config(read_config(given), legacy=True)
    assert config.probabilities == {"ADD": 1.0}
    assert config.mode == "None" and config.bit_model == "tensorfi21_10"
    assert len(caplog.records) == 3


def test_every_name_of_tensorfi_is_known():
    assert len(Ops) >= 53  # Those of TensorFI; a recipe adds one.
    for op in Ops:
        if op is not Ops.ALL:
            assert types_of(op.value) or op.value in NEVER_INJECTED
