"""Outgoing connections: which addresses may be reached, and how much may come back."""
