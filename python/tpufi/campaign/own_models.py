# SPDX-License-Identifier: Apache-2.0
"""Fault models in a Python file of the user, `mine.py:MODEL`."""

import dataclasses
import pathlib
from collections.abc import Iterable

from tpufi.campaign.journal.manifest import files_digest
from tpufi.errors import InputError
from tpufi.faults.catalogue import NAMES, any_fault_model
from tpufi.faults.fault_model import FaultModel
from tpufi.user_file import beside, named_parts, python_object


@dataclasses.dataclass(frozen=True)
class OwnFaultModel(FaultModel):
    """A fault model with the file it is from, by which another process finds it.

    Args:
      where: `file.py:NAME`.
    """

    where: str = ""

    def __reduce__(self) -> tuple:
        return own_model, (self.where,)


def own_model(where: str) -> OwnFaultModel:
    """Return the fault model that `file.py:NAME` names.

    Raises:
      InputError: there is none, or it has the name of a known one.
    """
    found = python_object(where)
    if not isinstance(found, FaultModel):
        raise InputError(
            f"{where}: {type(found).__name__}; expected a FaultModel "
            "(tpufi.faults.catalogue)"
        )
    if found.name.partition(":")[0] in NAMES:
        raise InputError(f"{where}: {found.name} is a known model; name it otherwise")
    fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(FaultModel)}
    return OwnFaultModel(**fields, where=where)


def model_of(name: str, folder: pathlib.Path) -> FaultModel:
    """Return the fault model of a name, or of a file beside the plan's.

    Raises:
      InputError: there is none.
    """
    if named_parts(name)[1]:
        return own_model(beside(folder, name))
    return any_fault_model(name, folder)


def own_digests(models: Iterable[FaultModel]) -> dict[str, str]:
    """Return the digest of the file of each model that is from one, by its name."""
    return {
        model.name: files_digest([pathlib.Path(named_parts(model.where)[0])])
        for model in models
        if isinstance(model, OwnFaultModel)
    }
