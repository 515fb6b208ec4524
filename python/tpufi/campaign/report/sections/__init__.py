# SPDX-License-Identifier: Apache-2.0
"""Sections of the report: each file has facts of a campaign in, sections out."""
