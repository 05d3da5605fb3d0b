"""The settings of a new API key."""

from dataclasses import dataclass

from omnireel.settings.declaration import Group
from omnireel.settings.kinds import NAME, SWITCH, USD, integer

_API_KEY = Group("New API key", ("keys create",))


@dataclass(frozen=True)
class KeySettings:
    """The properties of a key that `keys create` makes. Money is in millionths of a US dollar; None: no limit."""

    account: str | None = _API_KEY.setting(
        NAME, None, "Account that the key belongs to.", example="ann", default_text="a new account"
    )
    key_name: str | None = _API_KEY.setting(
        NAME, None, "Name by which people recognise the key.", example="laptop", default_text="no name"
    )
    admin: bool = _API_KEY.setting(SWITCH, False, "Let the key see the usage of all accounts.", example=True)
    max_per_minute: int | None = _API_KEY.setting(
        integer(1, 100_000),
        None,
        "Maximum number of requests in any minute.",
        example=60,
        default_text="no limit",
    )
    max_unfinished: int | None = _API_KEY.setting(
        integer(1, 1_000_000),
        None,
        "Maximum number of jobs that wait or run at a time.",
        example=4,
        default_text="no limit",
    )
    cap_usd: int | None = _API_KEY.setting(
        USD, None, "Maximum amount that the key may spend, in US dollars.", example=5, default_text="no limit"
    )
    monthly_cap_usd: int | None = _API_KEY.setting(
        USD,
        None,
        "Maximum amount that the key may spend in a calendar month (UTC).",
        example=0.25,
        default_text="no limit",
    )
