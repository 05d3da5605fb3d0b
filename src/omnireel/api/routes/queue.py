"""Routes of fal's host for the queue: jobs that callers submit and ask about later."""

from collections.abc import Iterator
from dataclasses import replace

from omnireel.api.fal.input import APP_ID, ENDPOINT_ID, Nemotron3NanoOmniVideoInput
from omnireel.api.fal.models.errors import AnyProblem, Problems, RequestProblem
from omnireel.api.fal.models.jobs import (
    Cancellation,
    JobPath,
    QueueStatus,
    StatusQuery,
    SubmitHeaders,
    SubmitQuery,
)
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput
from omnireel.api.fal.queue import QueueRoutes
from omnireel.api.http.route import RequestBody, ResponseSpec, Route
from omnireel.api.routes.responses import ASK_REFUSED, EVENTS, FAL, JOB_FAILED, UNWRITABLE


def queue_routes(queue: QueueRoutes) -> Iterator[Route]:
    """Submission, and the routes about one job."""
    yield Route(
        "POST",
        f"/queue/{ENDPOINT_ID}",
        queue.submit,
        FAL,
        operation_id="submit",
        summary="Store a job and return at once",
        query_model=SubmitQuery,
        header_model=SubmitHeaders,
        body=RequestBody(Nemotron3NanoOmniVideoInput),
        responses={200: ResponseSpec("The job is stored", QueueStatus)} | ASK_REFUSED,
    )
    routes = list(_job_routes(queue))
    yield from routes
    # Clients name a job with the id of the endpoint or of the application alone.
    for route in routes:
        with_endpoint = route.path.replace(f"/{APP_ID}/", f"/{ENDPOINT_ID}/", 1)
        yield replace(route, path=with_endpoint, operation_id="")


def _job_routes(queue: QueueRoutes) -> Iterator[Route]:
    job = f"/queue/{APP_ID}/requests/{{request_id}}"
    unknown = {404: ResponseSpec("The job is not the caller's, or was deleted", RequestProblem)}
    result = Route(
        "GET",
        job,
        queue.result,
        FAL,
        operation_id="result",
        summary="The stored answer or error",
        path_model=JobPath,
        responses={
            200: ResponseSpec("The stored answer", Nemotron3NanoOmniVideoOutput, ("x-fal-billable-units",)),
            400: ResponseSpec("The job has not ended", AnyProblem),
            422: ResponseSpec("The error of the model or the input", Problems),
            499: ResponseSpec("The job was cancelled", AnyProblem),
        }
        | JOB_FAILED
        | unknown,
    )
    yield result
    yield replace(result, path=f"{job}/response", operation_id="response")
    yield Route(
        "GET",
        f"{job}/status",
        queue.status,
        FAL,
        operation_id="status",
        summary="The status of a job",
        path_model=JobPath,
        query_model=StatusQuery,
        responses={
            200: ResponseSpec("The job has ended", QueueStatus),
            202: ResponseSpec("The job waits or runs", QueueStatus),
        }
        | unknown,
    )
    yield Route(
        "GET",
        f"{job}/status/stream",
        queue.status_stream,
        FAL,
        operation_id="statusStream",
        summary="The status of a job as server-sent events",
        path_model=JobPath,
        query_model=StatusQuery,
        responses={200: ResponseSpec("The status at each change, until the job has ended", media_type=EVENTS)}
        | unknown,
    )
    yield Route(
        "PUT",
        f"{job}/cancel",
        queue.cancel,
        FAL,
        operation_id="cancel",
        summary="Cancel a job that has not ended",
        path_model=JobPath,
        responses={
            200: ResponseSpec("The job was removed", Cancellation),
            202: ResponseSpec("The job will stop", Cancellation),
            400: ResponseSpec("The job had already ended", Cancellation),
        }
        | UNWRITABLE
        | unknown,
    )
