# SPDX-License-Identifier: Apache-2.0
"""For users of the ISCA'23 artefact: its checkpoints, gradients and injections."""
