# SPDX-License-Identifier: Apache-2.0
"""The engine of a campaign: runs its experiments on workers and keeps their rows."""
