# SPDX-License-Identifier: Apache-2.0
"""JSON entries that carry a checksum, so that a changed byte is noticed."""

import json
import zlib

_KEY = "crc32"


def seal(entry: dict, indent: int | None = None) -> str:
    """Return an entry as JSON text with a checksum behind its other keys.

    Args:
      entry: what `json` can write; without the key `crc32`.
      indent: as for `json.dumps`.
    """
    return json.dumps({**entry, _KEY: _checksum(entry)}, indent=indent)


def unseal(text: str, indent: int | None = None, needed: bool = True) -> dict:
    """Return the entry of a text that `seal` wrote.

    Args:
      text: the text.
      indent: as it was written with.
      needed: whether a text without a checksum is refused.

    Raises:
      ValueError: it is not such a text, or any byte of it has changed.
    """
    entry = json.loads(text)
    if not isinstance(entry, dict):
        raise ValueError("it is no JSON object")
    if _KEY not in entry:
        if needed:
            raise ValueError("it has no checksum")
        return entry
    del entry[_KEY]
    if seal(entry, indent) != text:
        raise ValueError("its checksum is another")
    return entry


def _checksum(entry: dict) -> str:
    return f"{zlib.crc32(json.dumps(entry).encode()):08x}"
