# SPDX-License-Identifier: Apache-2.0
"""The converter of TensorFI's and TensorFI2's configurations."""

import subprocess
import sys

import pytest

import tpufi
from tpufi.contrib.tensorfi.config import operation_config, read_config
from tpufi.contrib.tensorfi.conversion import convert
from tpufi.contrib.tensorfi.layer_plan import layer_config

THEIRS = """
ScalarFaultType: None
TensorFaultType: bitFlip-element
Ops:
  - CONV2D = 0.25
  - RELUU = 1.0
Seed:
Instances:
  - CONV2D = 2
InjectMode: dynamicInstance
Colour: red
"""


def test_a_tensorfi_file_becomes_a_strict_one_with_remarks(tmp_path):
    (tmp_path / "theirs.yaml").write_text(THEIRS)
    command = [sys.executable, "-m", "tpufi", "convert-config"]
    command += [tmp_path / "theirs.yaml", "--out", tmp_path / "ours.yaml"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    text = (tmp_path / "ours.yaml").read_text()
    config = operation_config(read_config(tmp_path / "ours.yaml"))
    assert config.probabilities == {"CONV2D": 0.25}
    assert config.mode == "dynamicInstance" and not config.legacy
    for remark in ("RELUU was removed", "Colour was removed", "IEEE", "drawn again",
                   "counted by running"):  # fmt: skip
        assert text.count(remark) == 1, remark
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].endswith("exists; name a new file")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("mode", ["errorRate", "dynamicInstance", "oneFaultPerRun"])
@pytest.mark.parametrize("kind", ["Rand", "Rand-element", "multiBitFlip"])
def test_what_is_converted_parses_strictly_to_the_same(kind, mode, legacy, tmp_path):
    theirs = {"TensorFaultType": kind, "Ops": ["ADD = 1", "ALL = 0.5"], "BitCount": 3,
              "InjectMode": mode, "SkipCount": 2, "Seed": 9}  # fmt: skip
    path = tmp_path / "ours.yaml"
    path.write_text(convert(read_config(theirs), legacy))
    config = operation_config(read_config(path))
    assert config.legacy == legacy
    assert (config.tensor_type, config.mode, config.skip) == (kind, mode, 2)
    assert config.probabilities == {"ADD": 1.0, "ALL": 0.5}


def test_a_tensorfi2_file_keeps_its_keys(tmp_path):
    theirs = {
        "Target": "layer_states",
        "Mode": "multiple",
        "Type": "zeros",
        "Amount": 5,
    }
    path = tmp_path / "ours.yaml"
    path.write_text(convert(read_config(theirs), legacy=False))
    config = layer_config(read_config(path))
    assert (config.kind, config.amount, config.legacy) == ("zeros", 5, False)
    assert "percentage of every tensor" in path.read_text()


@pytest.mark.parametrize(
    "theirs", [{"Ops": ["ADD = 1"]}, {"InjectMode": "errorRate", "Ops": ["ADDD = 1"]}]
)
def test_a_file_that_never_injected_is_refused(theirs):
    with pytest.raises(tpufi.InputError, match="never injects|injects nothing"):
        convert(read_config(theirs), legacy=False)
