# SPDX-License-Identifier: Apache-2.0
"""The pictures of the explanation show what faults do."""

import numpy as np
import pytest
from tools.site.pictures import FOLDER, PICTURES
from tools.site.value_picture import injected


@pytest.mark.parametrize("name", PICTURES)
def test_a_committed_picture_is_what_the_faults_of_now_give(name):
    assert (FOLDER / name).read_text() == PICTURES[name](), (
        "draw it again: python -m tools.site.pictures"
    )


def test_the_faulty_values_follow_the_rules_of_their_models():
    def bits(model):
        return int(injected(model, 1).view(np.uint32)) ^ int(
            np.float32(0.75).view(np.uint32)
        )

    assert bits("RBFLIP").bit_count() == 1
    assert bits("SIGN_FLIP") == 1 << 31
    assert bits("EXPONENT_FLIP") & 0x7F800000 and bits("EXPONENT_FLIP").bit_count() == 1
    assert injected("ZERO", 1).view(np.uint32) == 0 and np.isnan(injected("NAN", 1))
