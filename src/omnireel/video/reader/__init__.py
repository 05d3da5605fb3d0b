"""Reads a clip in the calling process, by a decoding child in another one."""
