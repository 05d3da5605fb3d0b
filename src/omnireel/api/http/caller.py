"""Whose request it is."""

from starlette.requests import HTTPConnection

from omnireel.store.keys import Key


def owner_of(connection: HTTPConnection) -> str:
    """The account that a request's key belongs to; "" where nobody has to log in."""
    return getattr(connection.state, "owner", "")


def key_of(connection: HTTPConnection) -> Key | None:
    """The key that a request came with; None where nobody has to log in."""
    return getattr(connection.state, "key", None)


def sees_all(connection: HTTPConnection) -> bool:
    """Whether the caller may see what every account used: with an admin key, or where there are no keys."""
    key = key_of(connection)
    return key is None or key.grant.is_admin
