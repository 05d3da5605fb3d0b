"""Commands about checkpoints: doctor and pull."""
