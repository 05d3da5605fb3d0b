"""Reading a clip, in our own process; the decoder is another."""
