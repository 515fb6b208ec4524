# SPDX-License-Identifier: Apache-2.0
"""The parser of TOML files: Python's own, which came with 3.11, or its forerunner."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["tomllib"]
