"""The language model: Mamba-2, attention and mixture-of-experts layers, and the state between forward passes."""
