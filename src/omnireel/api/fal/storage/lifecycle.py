"""The headers that say how long a file is kept and who may read it."""

import json
import math
from collections.abc import Mapping
from typing import Any

from omnireel.api.http.errors import RequestError

_HEADERS = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")  # both hold the same JSON
_MAX_KEEP_S = 10_000_000_000.0  # three centuries
# Files are served to their owners only, so decisions that close a file change nothing.
_CLOSING_DECISIONS = (None, "hide", "forbid")


def keep_s_of(headers: Mapping[str, str], default_s: float) -> float:
    """Seconds for which a file is to be kept.

    default_s: the result if the header is missing, or its duration is missing, null or 0
    Raises RequestError, 400, for a header that is not valid, or that would let others read the file.
    """
    name = next((name for name in _HEADERS if name in headers), None)
    if name is None:
        return default_s
    lifecycle = _object(headers[name], name)
    _check_access(lifecycle.get("initial_acl"), name)
    seconds = lifecycle.get("expiration_duration_seconds")
    if seconds is None:
        return default_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _bad_header(name, "expiration_duration_seconds must be a number.")
    if not math.isfinite(seconds) or seconds < 0:
        raise _bad_header(name, "expiration_duration_seconds must be a number of at least 0.")
    return min(float(seconds), _MAX_KEEP_S) or default_s


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        raise _bad_header(name, "Its value must be JSON.") from None
    if not isinstance(value, dict):
        raise _bad_header(name, "Its value must be a JSON object.")
    return value


def _number(digits: str) -> float:
    return float(digits)  # for integers too: parsing a long one as int takes quadratic time


def _check_access(acl: object, name: str) -> None:
    if acl is None:
        return
    rules = acl.get("rules") or [] if isinstance(acl, dict) else None
    if not isinstance(acl, dict) or not isinstance(rules, list):
        raise _bad_header(name, "initial_acl must be an object with default and rules.")
    decisions = [acl.get("default")]
    decisions += [rule.get("decision") if isinstance(rule, dict) else rule for rule in rules]
    if any(decision not in _CLOSING_DECISIONS for decision in decisions):
        raise _bad_header(name, "initial_acl may only hide or forbid. Files are served to their owners only.")


def _bad_header(name: str, why: str) -> RequestError:
    return RequestError(f"The header {name} is not valid. {why}", error_type="bad_request", status=400)
