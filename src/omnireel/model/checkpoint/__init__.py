"""Weights on disk, full and quantised."""
