# SPDX-License-Identifier: Apache-2.0
"""A text that every complete Python has: the help on its own language."""

import importlib

from tpufi.data.text import CONTEXT, Text
from tpufi.errors import InputError

_MODULE = "pydoc_data.topics"


def python_text(context: int = CONTEXT) -> Text:
    """Return the topics of Python's `help()` as a text, in the order of their names.

    English with examples of code, 470 kB in Python 3.11. The content depends on the
    version of Python, and so does the digest.

    Args:
      context: tokens of a window, >= 1.

    Returns:
      The data set.

    Raises:
      InputError: this Python comes without its help.
    """
    try:
        topics = importlib.import_module(_MODULE).topics
    except ImportError:
        raise InputError(
            f"python-text: this Python has no module {_MODULE}; expected the whole "
            "standard library; install it, or name the path of a .txt file"
        ) from None
    text = "\n".join(topics[name] for name in sorted(topics))
    return Text("python-text", text.encode(), context)
