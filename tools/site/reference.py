# SPDX-License-Identifier: Apache-2.0
"""The reference pages of the Python package: topics first, then all of its modules."""

import ast
import pathlib

from tools.site.topics import TOPICS

_ENTRY = """::: tpufi.{path}
    options:
      heading: tpufi.{name}
      toc_label: {label}
"""
_INTERNALS = "*Internals: these modules may change at any time.*"


def reference_pages(package: pathlib.Path) -> dict[str, str]:
    """Return the pages by their path on the site; mkdocstrings fills them.

    Nothing is imported.

    Args:
      package: folder of the package.
    """
    pages = {f"reference/{topic.file}.md": _topic(topic) for topic in TOPICS}
    shown = sorted({n.split(".")[-1] for topic in TOPICS for n in topic.names})
    # What has a separate entry is not shown among the internals again.
    filters = ["!^_", *(f"!^{name}$" for name in shown)]
    for init in sorted(package.rglob("__init__.py")):
        folder = init.parent
        name = ".".join(folder.relative_to(package.parent).parts)
        modules = [f for f in sorted(folder.glob("*.py")) if f.name[0] != "_"]
        entries = [
            f"::: {name}.{file.stem}\n    options:\n      filters: {filters}"
            for file in modules
        ]
        page = "\n\n".join([f"# {name}", *_about(init), *entries, ""])
        pages[f"reference/internals/{name}.md"] = page
    return pages


def _topic(topic) -> str:
    entries = [
        _ENTRY.format(
            path=f"{name}.{name}" if name == "instrument" else name,
            name=name,
            label=name.split(".")[-1],
        )
        for name in topic.names
    ]
    return "\n\n".join([f"# {topic.title}", topic.about, *entries, ""])


def _about(file: pathlib.Path) -> tuple[str, str]:
    """Return the first paragraph of a package, and which of its names are public."""
    tree = ast.parse(file.read_text())
    first = (ast.get_docstring(tree) or "").split("\n\n")[0]
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and getattr(node.targets[0], "id", "") == "__all__"
        ):
            names = ", ".join(f"`{name}`" for name in ast.literal_eval(node.value))
            return first, f"*Public: {names}. All else may change at any time.*"
    return first, _INTERNALS
