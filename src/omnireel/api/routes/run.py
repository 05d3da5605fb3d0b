"""Routes of fal's sync host: the caller waits for the answer."""

from collections.abc import Iterator
from dataclasses import replace

from omnireel.api.fal.estimate import EstimateEndpoint
from omnireel.api.fal.input import ENDPOINT_ID, Nemotron3NanoOmniVideoInput
from omnireel.api.fal.models.errors import Problems
from omnireel.api.fal.models.jobs import Estimate, InspectedRun, RunHeaders
from omnireel.api.fal.output import Nemotron3NanoOmniVideoOutput
from omnireel.api.fal.stream import StreamEndpoint
from omnireel.api.fal.submit import Submissions
from omnireel.api.fal.sync import SyncEndpoint
from omnireel.api.http.route import RequestBody, ResponseSpec, Route
from omnireel.api.routes.responses import ASK_REFUSED, EVENTS, FAL, JOB_FAILED
from omnireel.shares import FairShares


def run_routes(submissions: Submissions) -> Iterator[Route]:
    """Run, stream and estimate. The document lists them without the prefix /sync, which is optional."""
    settings = submissions.settings
    attached, estimating = (
        FairShares(settings.max_requests, max_waiting=settings.max_waiting, is_timed=True) for _ in range(2)
    )
    ask = RequestBody(Nemotron3NanoOmniVideoInput)
    run = Route(
        "POST",
        f"/sync/{ENDPOINT_ID}",
        SyncEndpoint(submissions, attached).answer,
        FAL,
        operation_id="run",
        summary="Ask a question about a video and wait for the answer",
        listed_path=f"/{ENDPOINT_ID}",
        header_model=RunHeaders,
        body=ask,
        responses={
            200: ResponseSpec(
                "The answer",
                Nemotron3NanoOmniVideoOutput,
                ("x-fal-billable-units", "x-omnireel-ignored-fields"),
            )
        }
        | ASK_REFUSED
        | JOB_FAILED,
    )
    yield run
    yield replace(run, operation_id="runSync", listed_path="")
    yield Route(
        "POST",
        f"/sync/{ENDPOINT_ID}/stream",
        StreamEndpoint(submissions, attached).answer,
        FAL,
        operation_id="stream",
        summary="Ask a question about a video and read the answer as it is generated",
        listed_path=f"/{ENDPOINT_ID}/stream",
        header_model=RunHeaders,
        body=ask,
        responses={
            200: ResponseSpec(
                "Events with the answer so far; the last one is the whole result",
                headers=("x-omnireel-ignored-fields",),
                media_type=EVENTS,
            )
        }
        | ASK_REFUSED
        | JOB_FAILED,
    )
    estimates = EstimateEndpoint(submissions, estimating)
    estimate = Route(
        "POST",
        f"/sync/{ENDPOINT_ID}/estimate",
        estimates.answer,
        FAL,
        operation_id="estimate",
        summary="Count the frames, tokens and price of a question, without inference or charge",
        listed_path=f"/{ENDPOINT_ID}/estimate",
        body=ask,
        responses={200: ResponseSpec("Frames, tokens and price", Estimate, ("x-fal-billable-units",))}
        | ASK_REFUSED
        | {504: ResponseSpec("The estimate took too long", Problems)},
    )
    yield estimate
    yield replace(
        estimate,
        path=f"/sync/{ENDPOINT_ID}/inspect",
        endpoint=estimates.pictures,
        operation_id="inspect",
        summary="An estimate with small pictures of the frames, which are decoded as for a run. Without inference "
        "or charge",
        listed_path=f"/{ENDPOINT_ID}/inspect",
        responses={
            **estimate.responses,
            200: ResponseSpec("Frames, tokens and price", InspectedRun, ("x-fal-billable-units",)),
        },
    )
