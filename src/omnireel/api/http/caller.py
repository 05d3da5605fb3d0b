"""Which key and account a request belongs to, as the `Keys` middleware found them."""

from starlette.requests import HTTPConnection

from omnireel.store.keys import Caller, Key


def owner_of(connection: HTTPConnection) -> str:
    """The account of the request's key; "" if the server runs without keys."""
    return getattr(connection.state, "owner", "")


def key_of(connection: HTTPConnection) -> Key | None:
    """The key of the request; None if the server runs without keys."""
    return getattr(connection.state, "key", None)


def caller_of(connection: HTTPConnection) -> Caller:
    """Who sent the request, by its key."""
    key = key_of(connection)
    return Caller(owner_of(connection), "" if key is None else key.id)


def sees_all(connection: HTTPConnection) -> bool:
    """Whether the caller may see the usage of all accounts: with an admin key, or if there are no keys."""
    key = key_of(connection)
    return key is None or key.grant.is_admin
