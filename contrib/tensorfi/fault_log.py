# SPDX-License-Identifier: Apache-2.0
"""The log of what was injected: JSON lines, each enough to repeat its fault.

On request TensorFI's text form is written beside it.
"""

import datetime
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TextIO

import numpy as np

from tpufi.element import from_words
from tpufi.errors import InputError
from tpufi.file_name import check_file_name
from tpufi.instrument.context import ITERATIONS, REPLICAS
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.site_fault import SiteFault
from tpufi.io import open_to_write
from tpufi.messages import one_line, show_path

_LINE = "-" * 39


class FaultLog:
    """Log files of one injector, `<name>-log.jsonl` and on request `<name>-log`.

    Args:
      folder: made if it does not exist; files in it are overwritten.
      name: of the injector.
      text: whether to write TensorFI's form too.

    Attributes:
      path: the file of JSON lines.

    Raises:
      InputError: a file cannot be written, or the name would lead out of the folder.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, text: bool = False):
        path = pathlib.Path(folder)
        check_file_name(name, "injector")
        self._start = datetime.datetime.now()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.path = path / f"{name}-log.jsonl"
            self._lines = open_to_write(self.path)
            self._text: TextIO | None = (
                open_to_write(path / f"{name}-log") if text else None
            )
        except OSError as error:
            raise InputError(
                f"{show_path(path)}: no log can be written: {one_line(error)}; name "
                "another logDir"
            ) from None
        self._write(f"Starting log at {self._start}\n\n")

    def add(
        self, run: int, about: Mapping, injections: Sequence[InjectionRecord]
    ) -> None:
        """Add what was injected in run `run`; `about` stands in every entry."""
        for count, injection in enumerate(injections, 1):
            entry = {"run": run, **about, **injection.entry()}
            self._lines.write(json.dumps(entry) + "\n")
            self._write(self._block(run, count, injection))
        self._write(f"{_LINE}\n")
        self._lines.flush()

    def close(self) -> None:
        """End the log."""
        self._write(f"{_LINE}\nDone injections\n")
        self._lines.close()
        if self._text is not None:
            self._text.close()

    def _write(self, text: str) -> None:
        if self._text is not None:
            self._text.write(text)
            self._text.flush()

    def _block(self, run: int, count: int, injection: InjectionRecord) -> str:
        dtype = injection.site.dtype
        original, injected = (
            "?" if words is None else str(_values(words, dtype))
            for words in (injection.golden, injection.faulty)
        )
        fields = {
            "RunCount": run,
            "OpName": injection.site.op,
            "Count": count,
            "Original": original,
            "Injected": injected,
            "Time": datetime.datetime.now() - self._start,
        }
        lines = "".join(f"\t{key} : {value}\n" for key, value in fields.items())
        return f"{{\n{lines} }}\n"


def fault_of(entry: Mapping) -> SiteFault:
    """Return the fault of a log entry, which `Instrumented.run` repeats.

    Raises:
      InputError: the entry lacks a field, or one is not what the log writes.
    """
    try:
        words = tuple(int(word, 16) for word in entry["words"])
        elements = tuple(int(element) for element in entry["elements"])
        keep, context = int(entry["keep"], 16), int(entry["context"])
        site, loops = int(entry["site"]), int(entry["loops"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"log entry: {type(error).__name__} {error}; give an entry as it was logged"
        ) from None
    if context < 0:
        return SiteFault(site, elements, keep, words)
    path, replica = divmod(context, REPLICAS)
    iterations = []
    for _ in range(loops):
        path, iteration = divmod(path, ITERATIONS)
        iterations.insert(0, iteration)
    where = tuple(iterations) if loops else None
    return SiteFault(site, elements, keep, words, where, replica)


def _values(words: np.ndarray, dtype: str) -> np.ndarray:
    return words != 0 if dtype == "bool" else from_words(words, dtype)
