# SPDX-License-Identifier: Apache-2.0
"""The training step of a user as the subject of a campaign."""

KIND = "training step"  # Of a plan, as the manifest of a journal names it.
