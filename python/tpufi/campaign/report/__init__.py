# SPDX-License-Identifier: Apache-2.0
"""The report on a campaign: HTML, Markdown with pictures, CSV tables, Parquet rows."""

import importlib.util

from tpufi.errors import InputError

if importlib.util.find_spec("matplotlib") is None:
    raise InputError("a report needs matplotlib; run: pip install 'tpufi[plot]'")
