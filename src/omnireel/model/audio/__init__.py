"""The audio encoder and its input, log mel spectra."""
