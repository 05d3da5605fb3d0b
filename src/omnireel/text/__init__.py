"""Conversion between strings and token ids: tokenizer, chat template, answer text. Free of torch."""
