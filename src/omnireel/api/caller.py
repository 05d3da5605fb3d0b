"""Whose request it is."""

from starlette.requests import HTTPConnection


def owner_of(connection: HTTPConnection) -> str:
    """The account that a request's key belongs to; "" where nobody has to log in."""
    return getattr(connection.state, "owner", "")
