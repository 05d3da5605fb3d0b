"""Uploads and stored files, as the hosted service has them."""
