"""Uploads and served files, as the hosted service has them."""
