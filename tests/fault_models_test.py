# SPDX-License-Identifier: Apache-2.0
"""The table of the 18 fault models."""

import pytest

from tpufi.errors import InputError
from tpufi.fault_models import FAULT_MODELS, fault_model


def test_fault_models_are_those_of_the_artefact():
    assert len(FAULT_MODELS) == 18
    assert fault_model("N64_WT_16").confined_to == 16
    assert {m.name for m in FAULT_MODELS.values() if m.is_global} == {
        "RD_GLB",
        "RD_CORRECT_GLB",
        "N64_INPUT_GLB",
        "N64_WT_GLB",
    }
    for name, model in FAULT_MODELS.items():
        assert model.target == (
            "input" if "INPUT" in name else "weight" if "WT" in name else "output"
        )
    with pytest.raises(InputError, match="'RANDOM'; expected one of"):
        fault_model("RANDOM")
