"""The implementations of `Runner`."""
