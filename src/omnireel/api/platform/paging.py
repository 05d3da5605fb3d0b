"""What the platform API's lists take: a time range, a limit, a cursor, words out of a few."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.datastructures import QueryParams

from omnireel.api.http.body import parse_json
from omnireel.api.http.errors import BodyError, RequestError
from omnireel.store.sqlite.usage import Cursor, Period

DAY_S = 24 * 3600.0
MAX_LIMIT, _DEFAULT_LIMIT = 100, 50
_MAX_INTEGER = 2**63 - 1  # of what the store can compare with
_Item = TypeVar("_Item")


def invalid(message: str) -> RequestError:
    """A parameter that cannot be used."""
    return RequestError(message, error_type="validation_error", status=400)


def period_of(query: QueryParams, *, now: float) -> Period:
    """From `start` up to `end`; without them, the last 24 hours."""
    end = _moment(query, "end") if "end" in query else now + 1e-3
    start = _moment(query, "start") if "start" in query else end - DAY_S
    if start >= end:
        raise invalid("start is not before end")
    return Period(start, end)


def _moment(query: QueryParams, name: str) -> float:
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError:
        raise invalid(f"{name} is not a time like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def limit_of(query: QueryParams) -> int:
    """Most items of a page."""
    text = query.get("limit", str(_DEFAULT_LIMIT))
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid(f"limit is not a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def word_of(query: QueryParams, name: str, words: Sequence[str]) -> str | None:
    """One of a few words; None where it is not sent."""
    word = query.get(name)
    if word is not None and word not in words:
        raise invalid(f"{name} is none of {', '.join(words)}")
    return word


def check_only(query: QueryParams, name: str, word: str) -> None:
    """Refuse a parameter of the hosted service of which we can do one value alone."""
    if query.get(name, word) != word:
        raise invalid(f"{name}: only {word}")


def words_of(query: QueryParams, name: str) -> list[str]:
    """A parameter that may be repeated, or hold several words with commas between them."""
    return [word for text in query.getlist(name) for word in text.split(",") if word]


def cursor_of(query: QueryParams) -> Cursor | None:
    """Where the page before ended."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        number, name = parse_json(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError, BodyError):
        raise invalid("cursor is none that was given out") from None
    if type(number) not in (int, float) or type(name) not in (str, int):
        raise invalid("cursor is none that was given out")
    if any(type(part) is int and not -_MAX_INTEGER <= part <= _MAX_INTEGER for part in (number, name)):
        raise invalid("cursor is none that was given out")
    return number, name


def page(name: str, items: Sequence[_Item], limit: int, last: Cursor | None) -> dict[str, Any]:
    """One page of a list; items: one more than `limit` where there is a next page; last: see `cursor_of`."""
    cursor = None
    if len(items) > limit and last is not None:
        cursor = base64.urlsafe_b64encode(json.dumps(last).encode()).decode("ascii")
    return {name: list(items[:limit]), "next_cursor": cursor, "has_more": cursor is not None}
