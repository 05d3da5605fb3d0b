"""The headers that say how long a file is kept and who may read it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from omnireel.api.http.errors import RequestError

_HEADERS = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")  # the same JSON in either
_MAX_KEEP_S = 10_000_000_000.0  # three centuries
# Files are served to their owners only, so these decisions change nothing.
_CLOSED = (None, "hide", "forbid")


def keep_s_of(headers: Mapping[str, str], default_s: float) -> float:
    """Seconds for which a file is to be kept.

    default_s: what is returned if the caller says nothing, null or 0
    Raises RequestError, 400, for a header that cannot be read, or that would let others read the file.
    """
    name = next((name for name in _HEADERS if name in headers), None)
    if name is None:
        return default_s
    wish = _object(headers[name], name)
    _check_access(wish.get("initial_acl"), name)
    seconds = wish.get("expiration_duration_seconds")
    if seconds is None:
        return default_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _bad(name, "expiration_duration_seconds must be a number.")
    if not math.isfinite(seconds) or seconds < 0:
        raise _bad(name, "expiration_duration_seconds must be a number of at least 0.")
    return min(float(seconds), _MAX_KEEP_S) or default_s


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        raise _bad(name, "The value must be JSON.") from None
    if not isinstance(value, dict):
        raise _bad(name, "The value must be a JSON object.")
    return value


def _number(digits: str) -> float:
    return float(digits)  # integers too: parsing a very long one as int takes quadratic time


def _check_access(acl: object, name: str) -> None:
    if acl is None:
        return
    rules = acl.get("rules") or [] if isinstance(acl, dict) else None
    if not isinstance(acl, dict) or not isinstance(rules, list):
        raise _bad(name, "initial_acl must be an object with default and rules.")
    decisions = [acl.get("default")]
    decisions += [rule.get("decision") if isinstance(rule, dict) else rule for rule in rules]
    if any(decision not in _CLOSED for decision in decisions):
        raise _bad(name, "initial_acl may only hide or forbid: files are served to their owners only.")


def _bad(name: str, why: str) -> RequestError:
    return RequestError(f"{name}: {why}", error_type="bad_request", status=400)
