"""Video bytes become chosen RGB frames, and frames become model pixels."""
