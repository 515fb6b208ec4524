# SPDX-License-Identifier: Apache-2.0
"""Sections of the report, each on its own: facts of a campaign in, blocks out."""
