# SPDX-License-Identifier: Apache-2.0
"""What only users of one other tool need; the rest of tpufi imports none of it."""
