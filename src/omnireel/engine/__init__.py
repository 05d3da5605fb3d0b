"""Many sequences, one model; knows token ids, not words."""
