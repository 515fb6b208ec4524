# SPDX-License-Identifier: Apache-2.0
"""Random examples of the kind that a workload reads, with labels."""

import numpy as np

from tpufi.workload import Workload


def drawn_examples(
    workload: Workload, rng: np.random.Generator, lead: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw examples and labels.

    Args:
      workload: what reads them.
      rng: where they are drawn from.
      lead: axes before those of an example, such as replicas and images.

    Returns:
      Normal pixels in float64, or int32 tokens; int32 labels.
    """
    shape = (*lead, *workload.input_shape)
    if workload.input_dtype == "int32":
        examples = rng.integers(0, workload.classes, shape).astype(np.int32)
    else:
        examples = rng.standard_normal(shape)
    each = workload.model.output_shape(workload.input_shape)[:-1]
    labels = rng.integers(0, workload.classes, (*lead, *each)).astype(np.int32)
    return examples, labels
