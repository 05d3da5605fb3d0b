"""Webhooks: signed, posted and retried until they are delivered or given up."""
