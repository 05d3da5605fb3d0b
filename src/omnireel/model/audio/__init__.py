"""The audio encoder."""
