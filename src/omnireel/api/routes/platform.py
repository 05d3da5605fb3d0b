"""Routes of fal's platform API: models, prices and usage."""

from collections.abc import Iterator

from omnireel.api.http.route import BodyModel, Endpoint, ErrorModels, RequestBody, ResponseSpec, Route
from omnireel.api.http.wire_model import WireModel
from omnireel.api.platform import models
from omnireel.api.platform.routes import PlatformRoutes
from omnireel.api.platform.usage import UsageRoutes
from omnireel.api.routes.responses import unreadable

_PREFIX = "/platform/v1"
_ERRORS = ErrorModels(refusal=models.PlatformError, failure=models.PlatformError)
_UNWRITABLE = {
    503: ResponseSpec("The server's disk cannot be written", models.PlatformError, ("retry-after",))
}
_BAD_PARAMETER = {400: ResponseSpec("A parameter cannot be used", models.PlatformError)}


def platform_routes(platform: PlatformRoutes, usage: UsageRoutes) -> Iterator[Route]:
    """The routes under /platform/v1."""
    yield _get(
        "models",
        platform.models,
        "models",
        "The endpoints of this server",
        models.Models,
        query_model=models.ModelsQuery,
    )
    yield _get(
        "models/pricing",
        platform.pricing,
        "pricing",
        "Prices",
        models.Prices,
        query_model=models.PricingQuery,
    )
    yield Route(
        "POST",
        f"{_PREFIX}/models/pricing/estimate",
        platform.estimate,
        _ERRORS,
        operation_id="estimatePrice",
        summary="The price of a number of units or calls",
        body=RequestBody(models.PriceQuestion),
        responses={200: ResponseSpec("The price", models.PriceEstimate)} | unreadable(models.PlatformError),
    )
    yield _get("models/usage", usage.usage, "usage", "Usage", models.Usage, query_model=models.UsageQuery)
    yield _get(
        "models/billing-events",
        usage.billing_events,
        "billingEvents",
        "Charges",
        models.BillingEvents,
        query_model=models.BillingEventsQuery,
    )
    yield _get(
        "models/requests/by-endpoint",
        usage.requests,
        "requests",
        "Jobs that have ended",
        models.EndedRequests,
        query_model=models.EndedRequestsQuery,
    )
    yield Route(
        "DELETE",
        f"{_PREFIX}/models/requests/{{request_id}}/payloads",
        usage.drop_payloads,
        _ERRORS,
        operation_id="dropPayloads",
        summary="Delete the input and output of a job",
        path_model=models.EndedRequestPath,
        responses={
            200: ResponseSpec("They are deleted", models.DeletedPayloads),
            400: ResponseSpec("The job has not ended", models.PlatformError),
            404: ResponseSpec("The job is not the caller's, or was deleted", models.PlatformError),
        }
        | _UNWRITABLE,
    )
    yield _get("meta", platform.meta, "meta", "Facts about the service", models.Meta)


def _get(
    path: str,
    endpoint: Endpoint,
    operation_id: str,
    summary: str,
    model: BodyModel,
    *,
    query_model: type[WireModel] | None = None,
) -> Route:
    refused = _BAD_PARAMETER if query_model is not None else {}
    return Route(
        "GET",
        f"{_PREFIX}/{path}",
        endpoint,
        _ERRORS,
        operation_id=operation_id,
        summary=summary,
        query_model=query_model,
        responses={200: ResponseSpec(summary, model)} | refused,
    )
