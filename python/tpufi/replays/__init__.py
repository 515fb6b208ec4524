# SPDX-License-Identifier: Apache-2.0
"""Replaying one injection from a golden run, and the record of what happened."""
