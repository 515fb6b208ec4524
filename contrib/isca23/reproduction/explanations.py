# SPDX-License-Identifier: Apache-2.0
"""What people wrote about single results; kept beside the report, not in it."""

import pathlib

from tpufi._toml import tomllib
from tpufi.errors import InputError
from tpufi.messages import one_line, show_path


def read_explanations(path: pathlib.Path, labels: tuple[str, ...]) -> dict[str, str]:
    """Return the text about each case that has one.

    Args:
      path: TOML file, `"workload/file" = "text"`; it may be absent.
      labels: all cases.

    Raises:
      InputError: the file is damaged, or names no case, or a text is empty.
    """
    if not path.exists():
        return {}
    shown = show_path(path)
    try:
        entries = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"{shown}: cannot read explanations: {one_line(error)}; expected lines "
            '"workload/file" = "text"'
        ) from None
    for label, text in entries.items():
        if label not in labels:
            raise InputError(
                f"{shown}: {label!r} is no published injection; known: "
                f"{', '.join(labels)}"
            )
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{shown}: {label} has no text; write one or remove it")
    return {label: text.strip() for label, text in entries.items()}
