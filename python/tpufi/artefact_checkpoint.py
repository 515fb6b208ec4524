# SPDX-License-Identifier: Apache-2.0
"""Former name of `tpufi.contrib.isca23.checkpoint`."""

from tpufi._former import stand_for

stand_for(__name__, "tpufi.contrib.isca23.checkpoint")
