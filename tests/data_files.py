# SPDX-License-Identifier: Apache-2.0
"""What tests of files of data share: small images, a hostile object, the refusal."""

import numpy as np
import pytest

from tpufi.data import load_dataset
from tpufi.errors import InputError

_RNG = np.random.default_rng(8)
GREY = _RNG.integers(0, 256, (30, 28, 28), np.uint8)
COLOUR = _RNG.integers(0, 256, (30, 32, 32, 3), np.uint8)
LABELS = _RNG.integers(0, 10, 30).astype(np.uint8)


class Malicious:
    """Runs a command when it is unpickled in the ordinary way."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def refused(spec, *words: str) -> None:
    """Check that a data set is refused in one line with these words."""
    with pytest.raises(InputError) as caught:
        load_dataset(str(spec))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message
