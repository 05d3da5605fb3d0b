"""From the bytes of a video to the chosen RGB frames, and from frames to the pixels that the model reads."""
