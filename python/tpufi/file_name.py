# SPDX-License-Identifier: Apache-2.0
"""Names that become part of a file's name: none leads out of its folder."""

from tpufi.errors import InputError
from tpufi.messages import quote


def check_file_name(name: str, what: str) -> str:
    """Return `name` if it can be part of the name of a file.

    Args:
      name: as the user, or a file of the user, gave it.
      what: what it names, for the message.

    Raises:
      InputError: it has a separator of folders or a control character in it, or is
        over 200 characters long.

    Example:
      >>> check_file_name("inj_masked", "injection")
      'inj_masked'
    """
    if "/" in name or "\\" in name or not name.isprintable() or len(name) > 200:
        raise InputError(
            f"{what} {quote(name)}: cannot be part of a file name; expected up to 200 "
            "printable characters without / and \\; rename it"
        )
    return name
