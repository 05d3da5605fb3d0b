"""The only place where all stages meet: a video and a prompt in, events out."""
