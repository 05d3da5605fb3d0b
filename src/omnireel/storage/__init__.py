"""Bytes: uploaded files, and the media that a request refers to."""
