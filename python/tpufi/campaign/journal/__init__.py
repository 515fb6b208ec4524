# SPDX-License-Identifier: Apache-2.0
"""The journal of a campaign: one row per experiment, kept through any kill."""
