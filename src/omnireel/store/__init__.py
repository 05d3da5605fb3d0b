"""The store: rows of jobs, keys, uploads, webhooks and charges of a deployment."""
