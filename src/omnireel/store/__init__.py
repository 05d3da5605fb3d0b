"""Rows: the jobs, keys, uploads, webhooks and charges of a deployment."""
