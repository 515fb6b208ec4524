#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the pictures of docs/explanation."""

import pathlib
from collections.abc import Callable, Mapping

from tools.site.extent_picture import extent_picture
from tools.site.site_picture import site_picture
from tools.site.unit_picture import unit_picture
from tools.site.value_picture import value_picture

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "explanation"
PICTURES: Mapping[str, Callable[[], str]] = {
    "sites.svg": site_picture,
    "extents.svg": extent_picture,
    "values.svg": value_picture,
    "units.svg": unit_picture,
}


def main() -> None:
    """Write all of them."""
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw())


if __name__ == "__main__":
    main()
