# SPDX-License-Identifier: Apache-2.0
"""Campaigns: their plan, their journal and what may be concluded from it."""
