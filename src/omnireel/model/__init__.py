"""The architecture as pure functions of tensors: no strings, no files but checkpoints, no scheduling."""
