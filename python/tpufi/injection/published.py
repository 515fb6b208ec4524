# SPDX-License-Identifier: Apache-2.0
"""Where the published injection files are, WORKLOAD/NAME.csv; part of the package."""

import pathlib

PUBLISHED = pathlib.Path(__file__).absolute().parents[1] / "injections"
