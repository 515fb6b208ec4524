# SPDX-License-Identifier: Apache-2.0
"""Runs a Python file of the user and returns what it holds: `file.py:NAME`."""

import contextlib
import importlib.util
import pathlib
import signal
import threading
import types
from collections.abc import Iterator

from absl import logging

from tpufi.errors import InputError
from tpufi.messages import nearest_first, one_line, quote, show_path


@contextlib.contextmanager
def users_code(shown: str) -> Iterator[None]:
    """Raise InputError for whatever code of the user raises, `sys.exit` included.

    Ctrl-C is a signal of this process and stays what it is.

    Args:
      shown: stands in front of the message.
    """
    interrupts: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: types.FrameType | None) -> None:
        interrupts.append(number)
        before(number, frame)

    if in_main and callable(before):
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if interrupts or isinstance(error, GeneratorExit):
            raise
        logging.debug("%s", shown, exc_info=True)
        raise InputError(
            f"{shown}: {type(error).__name__}: {one_line(error)}; make it run"
        ) from error
    finally:
        if in_main and callable(before):
            signal.signal(signal.SIGINT, before)


def named_parts(where: str) -> tuple[str, str]:
    """Return file and name of `file.py:NAME`; the name is empty for other paths."""
    file, colon, name = where.rpartition(":")
    return (file, name) if colon and file.endswith(".py") else (where, "")


def beside(folder: pathlib.Path, where: str) -> str:
    """Return `file.py:NAME` or a path with the folder it is relative to."""
    file, name = named_parts(where)
    found = str(folder / file)
    return f"{found}:{name}" if name else found


def short_name(where: str) -> str:
    """Return a name without folders: `mine_NAME` of `folder/mine.py:NAME`."""
    file, name = named_parts(where)
    return f"{pathlib.Path(file).stem}_{name}" if name else pathlib.Path(file).name


def whole_path(where: str) -> str:
    """Return `file.py:NAME` with the whole path of the file; other names stay."""
    file, name = named_parts(where)
    return f"{pathlib.Path(file).resolve()}:{name}" if name else where


def python_object(where: str) -> object:
    """Return what `file.py:NAME` names; the file is run.

    Raises:
      InputError: there is no such file or name, or running it raises an error.
    """
    file, name = named_parts(where)
    path = pathlib.Path(file)
    if not name:
        raise InputError(
            f"{quote(where)}: is no file.py:NAME; name what is in the file"
        )
    if not path.is_file():
        raise InputError(f"{show_path(path)}: no such file; name a Python file")
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location(path.stem, path)
    )
    with users_code(show_path(path)):
        spec.loader.exec_module(module)
    if not hasattr(module, name):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise InputError(
            f"{show_path(path)}: no {quote(name)}; nearest: "
            f"{nearest_first(name, known, 5) or 'none'}"
        )
    return getattr(module, name)


def made_by(where: str) -> object:
    """Return what the function of `file.py:NAME` returns, or the path of a SavedModel.

    Raises:
      InputError: there is none, it is not a function, or it raises an error.
    """
    if not named_parts(where)[1]:
        return pathlib.Path(where)
    make = python_object(where)
    if not callable(make):
        raise InputError(f"{where}: {type(make).__name__}; expected a function")
    with users_code(where):
        return make()
