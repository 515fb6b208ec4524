# SPDX-License-Identifier: Apache-2.0
"""The program `tpufi`; outside the package, whose import takes TensorFlow's seconds."""
