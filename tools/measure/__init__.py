# SPDX-License-Identifier: Apache-2.0
"""How benchmarks measure time and memory."""
