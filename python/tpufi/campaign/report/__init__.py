# SPDX-License-Identifier: Apache-2.0
"""The report on a campaign: HTML, Markdown with pictures, CSV tables, Parquet rows."""

from tpufi.extras import optional

for _package in ("jinja2", "pandas", "matplotlib"):
    optional(_package, "a report")  # Before a module of the report imports it.
