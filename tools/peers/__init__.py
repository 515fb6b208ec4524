# SPDX-License-Identifier: Apache-2.0
"""Other ways to inject a fault, for benchmarks only: what tpufi is measured against."""
