"""Fixtures: servers to download from, and policies that allow them."""

from net_fixtures import authority, fetched, policy_for, refusal, serve

__all__ = ["authority", "fetched", "policy_for", "refusal", "serve"]
