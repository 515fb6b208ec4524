# SPDX-License-Identifier: Apache-2.0
"""Parts of the standing attack, a file for each kind of what is attacked."""
