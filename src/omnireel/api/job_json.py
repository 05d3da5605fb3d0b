"""What statuses and webhooks say of a job."""

import json
from datetime import UTC, datetime
from typing import Any

from omnireel.api.wire import billable_units, price_usd
from omnireel.jobs.job import Job, LogLine, Outcome


def log_line(line: LogLine) -> dict[str, str]:
    """A log line in a status."""
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"message": line.message, "level": line.level, "source": "USER", "timestamp": at}


def ending(job: Job) -> dict[str, Any]:
    """What a status says of a job that has ended: how long it took, what it cost, what went wrong."""
    if job.outcome is None:
        return {}
    num_tokens = job.outcome.input_tokens + job.outcome.output_tokens
    began, ended = job.started_at, job.finished_at
    metrics = {
        "inference_time": None if began is None or ended is None else round(ended - began, 3),
        "billable_units": float(billable_units(num_tokens)),
        "cost_usd": float(price_usd(num_tokens)),
    }
    if job.outcome.error is None:
        return {"metrics": metrics}
    return {"metrics": metrics, "error": job.outcome.error, "error_type": job.outcome.error_type}


def webhook_body(job_id: str, outcome: Outcome) -> bytes:
    """What a webhook is sent; the same bytes at every attempt, because they are signed."""
    num_tokens = outcome.input_tokens + outcome.output_tokens
    content = {
        "request_id": job_id,
        "gateway_request_id": job_id,
        "status": "OK" if outcome.status < 400 else "ERROR",
        "payload": outcome.body,
        "metrics": {
            "billable_units": float(billable_units(num_tokens)), "cost_usd": float(price_usd(num_tokens))
        },
    }  # fmt: skip
    if outcome.status >= 400:
        content["error"] = f"Invalid status code: {outcome.status}"
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
