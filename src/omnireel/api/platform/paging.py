"""Query parameters of the platform API's lists: a period, a limit, a cursor, one of several words."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from omnireel.api.http.body import parse_json
from omnireel.api.http.errors import BodyError, RequestError
from omnireel.store.usage import Cursor, Period

DAY_S = 24 * 3600.0
MAX_LIMIT, _DEFAULT_LIMIT = 100, 50
_MAX_INTEGER = 2**63 - 1  # the largest that the store can compare with


def invalid(message: str) -> RequestError:
    """The error of a parameter that cannot be used."""
    return RequestError(message, error_type="validation_error", status=400)


def invalid_cursor() -> RequestError:
    """The error of a cursor that no answer of this server had."""
    return invalid("Invalid cursor.")


def period_of(query: QueryParams, *, now: float) -> Period:
    """From `start` up to `end`; the last 24 hours if the query has neither. Raises RequestError."""
    end = _moment(query, "end") if "end" in query else now + 1e-3
    start = _moment(query, "start") if "start" in query else end - DAY_S
    if start >= end:
        raise invalid("start must be before end.")
    return Period(start, end)


def _moment(query: QueryParams, name: str) -> float:
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError:
        raise invalid(f"{name} must be a time such as 2026-01-31 or 2026-01-31T12:00:00Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def limit_of(query: QueryParams) -> int:
    """Maximum number of items of a page. Raises RequestError."""
    text = query.get("limit", str(_DEFAULT_LIMIT))
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid(f"limit must be an integer from 1 to {MAX_LIMIT}.")
    return int(text)


def word_of(query: QueryParams, name: str, words: Sequence[str]) -> str | None:
    """The value of a parameter that allows a few words; None if it was not sent. Raises RequestError."""
    word = query.get(name)
    if word is not None and word not in words:
        raise invalid(f"{name} must be one of: {', '.join(words)}.")
    return word


def check_only(query: QueryParams, name: str, word: str) -> None:
    """Check a parameter of the hosted service that has only one value here. Raises RequestError."""
    if query.get(name, word) != word:
        raise invalid(f"{name} can only be {word}.")


def words_of(query: QueryParams, name: str) -> list[str]:
    """The values of a parameter that may be repeated, or hold several values separated by commas."""
    return [word for text in query.getlist(name) for word in text.split(",") if word]


def cursor_of(query: QueryParams) -> Cursor | None:
    """Sort value and id of the last item of the page before; None on the first page. Raises RequestError."""
    text = query.get("cursor")
    if text is None:
        return None
    try:
        number, name = parse_json(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError, BodyError):
        raise invalid_cursor() from None
    if type(number) not in (int, float) or type(name) not in (str, int):
        raise invalid_cursor()
    if any(type(part) is int and not -_MAX_INTEGER <= part <= _MAX_INTEGER for part in (number, name)):
        raise invalid_cursor()
    return number, name


def next_cursor(last: Cursor | None) -> str | None:
    """The text for a cursor, see `cursor_of`; None if there is no next page."""
    return None if last is None else base64.urlsafe_b64encode(json.dumps(last).encode()).decode("ascii")
