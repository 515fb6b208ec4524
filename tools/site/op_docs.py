# SPDX-License-Identifier: Apache-2.0
"""The reference page of the ops, from their registrations in C++."""

import pathlib
import re

_OP = re.compile(r'REGISTER_OP\("([^"]+)"\)(.*?)\.Doc\(R"doc\((.*?)\)doc"\)', re.DOTALL)
_PART = re.compile(r'\.(Attr|Input|Output)\(\s*("[^"]*"|\w+)')
_ARGUMENT = re.compile(r"^(\w+): ", re.MULTILINE)
_HEAD = """# Registered ops

What `REGISTER_OP` says in `cc/ops`. Call them through [the functions of
`tpufi`](../ops.md), which check parameters on the host.
"""


def ops_page(folder: pathlib.Path) -> str:
    """Return the page.

    Args:
      folder: `cc/ops`.

    Raises:
      ValueError: a registration is not understood.
    """
    parts = [_HEAD]
    for file in sorted(folder.glob("*.cc")):
        text = file.read_text()
        found = _OP.findall(text)
        if len(found) != text.count("REGISTER_OP("):
            raise ValueError(f"{file}: an op without .Doc of a raw string; write one")
        parts += [_section(*op) for op in found]
    return "\n".join(parts)


def _section(name: str, registration: str, doc: str) -> str:
    signature = "\n".join(
        f"{kind.lower():6} {text.strip(chr(34))}"
        for kind, text in _PART.findall(registration)
    )
    # Descriptions of arguments become a list.
    text = _ARGUMENT.sub(r"- `\1`: ", doc.strip())
    text = re.sub(r"\n(- `)", r"\n\n\1", text, count=1)
    return f"## {name}\n\n```text\n{signature}\n```\n\n{text}\n"
