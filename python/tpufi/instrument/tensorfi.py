# SPDX-License-Identifier: Apache-2.0
"""Former name of `tpufi.contrib.tensorfi`."""

from tpufi._former import stand_for

stand_for(__name__, "tpufi.contrib.tensorfi")
