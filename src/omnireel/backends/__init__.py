"""The implementations of `Backend`: a task and its files in, progress, text and an answer out."""
