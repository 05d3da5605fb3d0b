"""A checkpoint's text files, read."""

from text_fixtures import directory, template, tokenizer

__all__ = ["directory", "template", "tokenizer"]
