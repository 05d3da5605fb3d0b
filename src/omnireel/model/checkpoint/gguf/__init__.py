"""The language part of a checkpoint as a GGUF file: written, checked, and read row by row."""
