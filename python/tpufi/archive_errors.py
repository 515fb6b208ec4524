# SPDX-License-Identifier: Apache-2.0
"""What numpy raises for archives of arrays that are damaged, or none at all."""

import struct
import tokenize
import zipfile
import zlib

# numpy reads the head of an array as Python text, hence the tokens and the syntax.
ARCHIVE_ERRORS = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
