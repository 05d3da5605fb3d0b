"""Weights on disk: loaded, checked, and unpacked where they are quantised."""
