# SPDX-License-Identifier: Apache-2.0
"""The tables of fault models: the 18 published ones and the catalogue of all."""

import pytest

from tpufi.errors import InputError
from tpufi.faults.catalogue import (
    FAULT_MODELS,
    NAMES,
    FaultModel,
    any_fault_model,
    fault_model,
)
from tpufi.faults.elements import Channel, Groups, Whole
from tpufi.faults.values import FlipBits, RandomFinite, Swap

# name: (target, group size, most groups, rule, confined to) of the artefact.
PUBLISHED = {
    "INPUT": ("input", 1, 1, "FlipBits", None),
    "INPUT_16": ("input", 1, 1, "FlipBits", 16),
    "WT": ("weight", 1, 1, "FlipBits", None),
    "WT_16": ("weight", 1, 1, "FlipBits", 16),
    "RBFLIP": ("output", 1, 1, "FlipBits", None),
    "RD": ("output", 1, 1, "RandomFinite", None),
    "RD_CORRECT": ("output", 1, 1, "CopyRandomPosition", None),
    "ZERO": ("output", 1, 1, "Constant", None),
    "N16_RD": ("output", 16, 1, "RandomFinite", None),
    "N16_RD_CORRECT": ("output", 16, 1, "CopyRandomPosition", None),
    "RD_GLB": ("output", 16, 1000, "RandomFinite", None),
    "RD_CORRECT_GLB": ("output", 16, 1000, "CopyRandomPosition", None),
    "N64_INPUT": ("input", 64, 1, "CopyRandomPosition", None),
    "N64_WT": ("weight", 64, 1, "CopyRandomPosition", None),
    "N64_INPUT_16": ("input", 64, 1, "CopyRandomPosition", 16),
    "N64_WT_16": ("weight", 64, 1, "CopyRandomPosition", 16),
    "N64_INPUT_GLB": ("input", 64, 1000, "CopyRandomPosition", None),
    "N64_WT_GLB": ("weight", 64, 1000, "CopyRandomPosition", None),
}


def test_the_published_models_are_those_of_the_artefact():
    rows = {
        name: (
            model.target,
            model.extent.size,
            model.extent.largest,
            type(model.rule).__name__,
            model.confined_to,
        )
        for name, model in FAULT_MODELS.items()
    }
    assert rows == PUBLISHED
    assert all(fault_model(name).name == name for name in PUBLISHED)
    assert FAULT_MODELS["RBFLIP"].rule == FlipBits(1, "all", False)


@pytest.mark.parametrize("name", ["RANDOM", "FLIP", ""])
def test_injection_files_know_the_published_models_only(name):
    with pytest.raises(InputError, match="expected one of: .*RBFLIP"):
        fault_model(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_catalogue_is_a_model_of_that_name(name):
    model = any_fault_model(name)
    assert model.name.partition(":")[0] == name
    assert any_fault_model(model.name) == model
    assert len(set(NAMES)) == len(NAMES) >= 46


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RANDOM", "unknown fault model 'RANDOM'; expected one of: RANDOM_VALUE"),
        ("WT:3", "WT takes no parameter; write WT"),
        ("NAN:", "NAN takes no parameter"),
        ("BURST:", "expected a number of at least 1; write e.g. BURST:2"),
        ("BURST:0", "a number of at least 1"),
        ("FLIP_BITS:two", "parameter 'two'"),
        ("CONSTANT:nan", "a finite number"),
        ("CONSTANT:1e999", "a finite number"),
        ("CONSTANT:--1", "could not convert"),
        ("ADD_NOISE:0", "a number above 0"),
        ("RELATIVE_NOISE:-1", "a number above 0"),
        ("ERROR_RATE:1", "a probability of 2\\*\\*-32"),
        ("ERROR_RATE:1e-10", "a probability of 2\\*\\*-32"),
        ("SYSTOLIC_OS:128", "HEIGHTxWIDTH, both at least 1"),
        ("SYSTOLIC_WS:0x128", "HEIGHTxWIDTH, both at least 1"),
    ],
)
def test_wrong_names_and_parameters_are_one_line(name, message):
    with pytest.raises(InputError, match=message) as error:
        any_fault_model(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("X", "bias", Groups(), FlipBits()), "target 'bias' is unknown"),
        (("X", "any", Channel(), FlipBits()), "more elements than the 64"),
        (("X", "any", Groups(65), FlipBits()), "more elements than the 64"),
        (("X", "any", Groups(16, 5), FlipBits()), "more elements than the 64"),
        (("X", "output", Groups(), FlipBits(), 16), "expected 1 or more, and input"),
        (("X", "any", Groups(), FlipBits(), 16), "expected 1 or more, and input"),
        (("X", "input", Groups(), FlipBits(), 0), "confined to 0"),
        (("X", "any", Groups(2), Swap()), "needs the extent Pair"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        FaultModel(*arguments)
    assert FaultModel("X", "any", Whole(), RandomFinite()).name == "X"
