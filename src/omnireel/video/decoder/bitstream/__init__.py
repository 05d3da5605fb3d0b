"""What the bytes of a packet say, read without decoding them: pictures, parameters and sizes."""
