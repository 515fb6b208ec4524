# SPDX-License-Identifier: Apache-2.0
"""The examples in the ops' reference page give what they show."""

import doctest
import pathlib

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "ops.md"


def test_the_reference_page_shows_what_happens():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20 and failed == 0
