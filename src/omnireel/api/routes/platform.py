"""Routes of fal's platform API: which models there are, what they cost, what was used."""

from collections.abc import Iterator

from omnireel.api.http.route import Answer, Body, Endpoint, ErrorShapes, Route, Shape
from omnireel.api.http.wire_model import WireModel
from omnireel.api.platform import models as shapes
from omnireel.api.platform.routes import PlatformRoutes
from omnireel.api.platform.usage import UsageRoutes
from omnireel.api.routes.answers import unreadable

_PREFIX = "/platform/v1"
_ERRORS = ErrorShapes(refusal=shapes.PlatformError, failure=shapes.PlatformError)
_STORE_IS_BUSY = {429: Answer("Too much at once", shapes.PlatformError, ("retry-after",))}
_BAD_PARAMETER = {400: Answer("A parameter cannot be used", shapes.PlatformError)}


def platform_routes(models: PlatformRoutes, usage: UsageRoutes) -> Iterator[Route]:
    """The routes under /platform/v1."""
    yield _get(
        "models",
        models.models,
        "models",
        "The endpoints of this server",
        shapes.Models,
        query=shapes.ModelsQuery,
    )
    yield _get(
        "models/pricing", models.pricing, "pricing", "Prices", shapes.Prices, query=shapes.PricingQuery
    )
    yield Route(
        "POST",
        f"{_PREFIX}/models/pricing/estimate",
        models.estimate,
        _ERRORS,
        operation_id="estimatePrice",
        summary="What so many units or calls would cost",
        body=Body(shapes.PriceQuestion),
        answers={200: Answer("The price", shapes.PriceEstimate)}
        | unreadable(shapes.PlatformError)
        | _STORE_IS_BUSY,
    )
    yield _get("models/usage", usage.usage, "usage", "What was used", shapes.Usage, query=shapes.UsageQuery)
    yield _get(
        "models/billing-events",
        usage.billing_events,
        "billingEvents",
        "Charges",
        shapes.BillingEvents,
        query=shapes.BillingEventsQuery,
    )
    yield _get(
        "models/requests/by-endpoint",
        usage.requests,
        "requests",
        "Jobs that have ended",
        shapes.EndedRequests,
        query=shapes.EndedRequestsQuery,
    )
    yield Route(
        "DELETE",
        f"{_PREFIX}/models/requests/{{request_id}}/payloads",
        usage.drop_payloads,
        _ERRORS,
        operation_id="dropPayloads",
        summary="Delete the input and output of a job",
        path_shape=shapes.EndedRequestPath,
        answers={
            200: Answer("They are deleted", shapes.DeletedPayloads),
            400: Answer("The job has not ended", shapes.PlatformError),
            404: Answer("The job is not the caller's, or was deleted", shapes.PlatformError),
        }
        | _STORE_IS_BUSY,
    )
    yield _get("meta", models.meta, "meta", "Facts about the service", shapes.Meta)


def _get(
    path: str,
    endpoint: Endpoint,
    operation_id: str,
    summary: str,
    shape: Shape,
    *,
    query: type[WireModel] | None = None,
) -> Route:
    refused = _BAD_PARAMETER if query is not None else {}
    return Route(
        "GET",
        f"{_PREFIX}/{path}",
        endpoint,
        _ERRORS,
        operation_id=operation_id,
        summary=summary,
        query=query,
        answers={200: Answer(summary, shape)} | refused | _STORE_IS_BUSY,
    )
