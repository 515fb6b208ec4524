# SPDX-License-Identifier: Apache-2.0
"""The arguments and the result that an armed function has besides its own."""

from tensorflow.core.framework import types_pb2

CONTEXT, FAULTS, WORDS = "tpufi_context", "tpufi_faults", "tpufi_words"
RECORD = "tpufi_record"
ARGUMENTS = (
    (CONTEXT, types_pb2.DT_INT64, ()),
    (FAULTS, types_pb2.DT_INT64, (None, None)),
    (WORDS, types_pb2.DT_UINT64, (None, None)),
)
# Counts of a loop are sums over its iterations: they have to be exact.
RECORD_TYPE = types_pb2.DT_INT64
RECORD_SHAPE = (None, None)
