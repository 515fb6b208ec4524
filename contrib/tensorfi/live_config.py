# SPDX-License-Identifier: Apache-2.0
"""The configuration that `getFIConfig` returns: its fields can be set between runs."""

import dataclasses

from tpufi.contrib.tensorfi.config import OperationConfig
from tpufi.contrib.tensorfi.operation_names import Ops
from tpufi.errors import InputError


class FIConfig:
    """TensorFI's live configuration.

    Args:
      config: its values at the start.

    Attributes:
      injectMap: probability of each operation, by `Ops` or by TensorFlow type.
      faultSeed: the seed.
      skipCount: selected executions at the start of a run that stay without a fault.
    """

    def __init__(self, config: OperationConfig):
        self._config = config
        self.injectMap = {_key(n): p for n, p in config.probabilities.items()}
        self.faultSeed = config.seed
        self.skipCount = config.skip

    def frozen(self) -> OperationConfig:
        """Return the configuration as it is now.

        Raises:
          InputError: a probability is outside [0, 1], or an operation was not in the
            file: its sites are not armed.
        """
        probabilities = {}
        for key, probability in self.injectMap.items():
            name = key.value if isinstance(key, Ops) else str(key)
            if not 0 <= probability <= 1:
                raise InputError(
                    f"injectMap: {name} = {probability} is outside [0, 1]; correct it"
                )
            if name not in self._config.probabilities:
                raise InputError(
                    f"injectMap: {name} was not in the configuration, so it has no "
                    "sites; name it there, with probability 0"
                )
            probabilities[name] = probability
        return dataclasses.replace(
            self._config,
            probabilities=probabilities,
            seed=self.faultSeed,
            skip=self.skipCount,
        )


def _key(name: str) -> Ops | str:
    return Ops(name) if name in {op.value for op in Ops} else name
