# SPDX-License-Identifier: Apache-2.0
"""Writes what graph mode does today as plain data, for tests/frozen_test.py.

The data name nothing of how a fault says what it writes, so that only the functions
that make them follow a change of names. After a change of the bits that is meant:

    python -m tests.frozen_cases --write

writes tests/data/frozen. With a folder in place of --write it is the process that
`frozen_data.make` starts, with the environment that pins the arithmetic.
"""

import pathlib
import sys
import tempfile

from tests import frozen_data


def make_all(folder: pathlib.Path) -> None:
    """Write all parts into a folder."""
    # Here, for --write loads no TensorFlow.
    from tests.frozen_faults import all_faults
    from tests.frozen_processor import processor
    from tests.frozen_training import all_training

    faults = all_faults()
    frozen_data.write(folder, "faults", faults.pop("cases"), faults)
    with tempfile.TemporaryDirectory() as golden:
        parts = all_training(pathlib.Path(golden))
    for part, found in parts.items():
        cases = found.pop("cases")
        frozen_data.write(folder, part, cases, {"processor": processor(), **found})


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        frozen_data.make(frozen_data.FOLDER)
    else:
        make_all(pathlib.Path(sys.argv[1]))
