# SPDX-License-Identifier: Apache-2.0
"""A call in another process gives its result, its error, or one line on its end."""

import os

import pytest

from tpufi.errors import InputError
from tpufi.own_process import in_own_process


def refuse(text: str) -> None:
    raise InputError(text)


@pytest.mark.slow
def test_results_and_errors_come_back_and_an_end_is_told():
    assert in_own_process("sorts", sorted, [2, 3, 1], reverse=True) == [3, 2, 1]
    assert in_own_process("asks", os.getpid) != os.getpid()
    with pytest.raises(InputError, match="^plan.yaml: no such key$"):
        in_own_process("reads", refuse, "plan.yaml: no such key")
    with pytest.raises(InputError, match="^the process that exits was ended by the"):
        in_own_process("exits", os._exit, 3)
