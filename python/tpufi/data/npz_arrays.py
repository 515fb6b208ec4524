# SPDX-License-Identifier: Apache-2.0
"""Arrays of an `.npz` file, once their headers fit the file and what is asked for."""

import io
import math
import os
import pathlib
import zipfile
from collections.abc import Callable, Collection

import numpy as np
from numpy.lib import format as npy

from tpufi.messages import quote, show_path
from tpufi.untrusted import check_unpacked

# As `numpy.savez` and `numpy.savez_compressed` write.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LONGEST_READ = 1 << 20
_LONGEST_HEADER = 10_000

# Gets name, shape and element type of an array; raises what is wrong with them.
Check = Callable[[str, tuple[int, ...], np.dtype], None]


def read_arrays(
    path: str | os.PathLike[str],
    needed: Collection[str] = (),
    check: Check = lambda name, shape, dtype: None,
    most: int = 4 << 30,
) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, within `tpufi.untrusted.reading`.

    Nothing in it is unpickled.

    Args:
      path: of the file.
      needed: names that must be there; others are left alone then. Empty: all.
      check: of each array, before any is unpacked.
      most: bytes that they may have in memory.

    Raises:
      InputError: they are larger than `check_unpacked` admits.
      Exception: the file is no archive of numpy's, an array is missing or of another
        size than the file has for it.
    """
    with (
        _Bounded(open(path, "rb", buffering=0)) as file,
        _archive(file) as archive,
    ):
        members = {
            entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()
        }
        if missing := [name for name in needed if name not in members]:
            found = ", ".join(quote(name) for name in list(members)[:8]) or "nothing"
            raise ValueError(f"it has no {', '.join(missing)}, only {found}")
        wanted = {name: members[name] for name in needed or members}
        size = sum(entry.file_size for entry in wanted.values())
        packed = os.fstat(file.fileno()).st_size
        check_unpacked(show_path(pathlib.Path(path)), size, packed, most)
        for name, entry in wanted.items():
            check(name, *_header(archive, entry))
        arrays = {}
        for name, entry in wanted.items():
            with archive.open(entry) as member:
                arrays[name] = npy.read_array(member, allow_pickle=False)
        return arrays


def _archive(file: io.BufferedReader) -> zipfile.ZipFile:
    if file.peek(len(npy.MAGIC_PREFIX)).startswith(npy.MAGIC_PREFIX):
        raise ValueError("it is a single array")
    return zipfile.ZipFile(file)


def _header(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and element type of an array that has the size that it says."""
    name = quote(entry.filename)
    if entry.compress_type not in _PACKINGS or entry.flag_bits & 1:
        raise ValueError(f"{name} is packed or encrypted otherwise than by numpy")
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{name} has a header of version {version}")
        shape, _, dtype = _HEADERS[version](member, max_header_size=_LONGEST_HEADER)
        size = entry.file_size - member.tell()
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"{name} has elements of type {dtype}, which are not numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} has {size} bytes, its header says {dtype} {shape}")
    return shape, dtype


class _Bounded(io.BufferedReader):
    """A file of which nobody gets more than 1 MiB at once.

    An archive is unpacked in small pieces; only its directory, whose size the file
    states, would be read as a whole.
    """

    def read(self, size: int | None = -1) -> bytes:
        """Return at most so many bytes."""
        if size is None or size > _LONGEST_READ:
            raise ValueError(f"its directory has {size} bytes, over {_LONGEST_READ}")
        return super().read(size)
