# SPDX-License-Identifier: Apache-2.0
"""Lets the site show examples of docstrings as code; our heading is not Google's."""

import re

import griffe

_HEADING = re.compile(r"^Example:$", re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Renames the section `Example:` to `Examples:` before docstrings are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change the docstring of one function, class or module."""
        if obj.docstring is not None:
            obj.docstring.value = _HEADING.sub("Examples:", obj.docstring.value)
