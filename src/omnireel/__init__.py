"""omnireel: a self-hosted video-reasoning endpoint. An mp4 and a prompt go in, text comes out."""
