# SPDX-License-Identifier: Apache-2.0
"""What a fault does to an array, written with Python integers, element by element."""

import numpy as np

from tpufi.element import element, from_words, to_words
from tpufi.faults.fault import Fault
from tpufi.random import random_patterns


def struck_indices(fault: Fault) -> list[int]:
    """Return the flat indices of the struck elements, in the order of words."""
    where = fault.positions
    return [
        where.start + (i // where.block) * where.stride + i % where.block
        for i in range(where.count)
    ]


def apply(fault: Fault, x: np.ndarray) -> np.ndarray:
    """Return `x` as the fault leaves it; the rules whose bits the host knows."""
    golden = to_words(x).reshape(-1).tolist()
    bits, name = list(golden), fault.dtype
    for i, index in enumerate(struck_indices(fault)):
        if fault.rule in ("words", "repeat"):
            word = fault.words[i if fault.rule == "words" else 0]
            bits[index] = (golden[index] & fault.keep) ^ word
        elif fault.rule == "copy":
            bits[index] = golden[fault.words[i]]
        elif fault.rule == "random":
            key = fault.words[0] & 0xFFFFFFFF, fault.words[0] >> 32
            bits[index] = int(random_patterns(name, key, index, 1)[0])
        elif fault.rule in ("add", "multiply"):
            operand = from_words([fault.words[i]], name)
            old = x.reshape(-1)[index : index + 1]
            new = old + operand if fault.rule == "add" else old * operand
            bits[index] = int(to_words(new.astype(element(name).numpy))[0])
        else:
            raise ValueError(f"the host does not know the bits of {fault.rule}")
    return from_words(np.array(bits, np.uint64), name).reshape(x.shape)
