"""Outgoing HTTP: which addresses may be reached, how they are connected to, and how much may be downloaded."""
