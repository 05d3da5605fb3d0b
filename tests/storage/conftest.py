"""Origins to download from."""

from net_fixtures import authority, fetched, refusal, rule, serve

__all__ = ["authority", "fetched", "refusal", "rule", "serve"]
