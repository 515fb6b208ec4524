# SPDX-License-Identifier: Apache-2.0
"""The subcommands of `tpufi`, one a file: its docstring, its options, what it does."""
