"""Generates tokens for many sequences with one model; works on ids and embeddings, not on words."""
