"""The model: its configuration, its checkpoint files, and its layers as functions of tensors."""
