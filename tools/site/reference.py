# SPDX-License-Identifier: Apache-2.0
"""The reference pages of the Python package: one for each folder, from docstrings."""

import ast
import pathlib


def reference_pages(package: pathlib.Path) -> dict[str, str]:
    """Return the pages by their path on the site; mkdocstrings fills them.

    Nothing is imported.

    Args:
      package: folder of the package.
    """
    pages = {}
    contrib = (package / "contrib").rglob("__init__.py")  # A link: not in the other.
    for init in sorted([*package.rglob("__init__.py"), *contrib]):
        folder = init.parent
        name = ".".join(folder.relative_to(package.parent).parts)
        modules = [f for f in sorted(folder.glob("*.py")) if f.name[0] != "_"]
        entries = [f"::: {name}.{file.stem}" for file in modules]
        # What an __init__ exports stands where it is defined; not so the package's own.
        if folder == package:
            entries.insert(0, f"::: {name}")
        pages[f"reference/{name}.md"] = "\n\n".join(
            [f"# {name}", _first_paragraph(init), *entries, ""]
        )
    return pages


def _first_paragraph(file: pathlib.Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text())) or "").split("\n\n")[0]
