"""The vision encoder, its projector, and the pruning of its tokens."""
