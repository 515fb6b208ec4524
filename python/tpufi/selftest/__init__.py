# SPDX-License-Identifier: Apache-2.0
"""Whether an installed tpufi works on this machine: `python -m tpufi.selftest`."""
