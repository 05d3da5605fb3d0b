"""Fixtures: the parsed text files of a checkpoint."""

from text_fixtures import directory, template, tokenizer

__all__ = ["directory", "template", "tokenizer"]
