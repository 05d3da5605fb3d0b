"""Strings and token ids; knows neither tensors nor the model."""
