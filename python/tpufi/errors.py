# SPDX-License-Identifier: Apache-2.0
"""The one exception that means "the user's input is wrong"."""


class InputError(ValueError):
    """A file, option or argument given by the user cannot be used.

    The message is one line: where, what, the bound, and the remedy. Command-line
    tools print it without a traceback and exit with code 2 (`tpufi.cli`).
    """
