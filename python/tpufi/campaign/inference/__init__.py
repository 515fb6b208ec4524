# SPDX-License-Identifier: Apache-2.0
"""Inferences of a program of the user as the subject of a campaign."""

KIND = "inference"  # Of a plan, as the manifest of a journal names it.
