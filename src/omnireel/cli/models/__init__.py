"""The commands about checkpoints: doctor and pull."""
