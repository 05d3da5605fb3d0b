"""Routes for keys and tokens, and for the pages about the server itself."""

from collections.abc import Iterator
from dataclasses import replace

from omnireel.api.fal.models.errors import RequestProblem
from omnireel.api.fal.models.tokens import KeySet, NewToken
from omnireel.api.fal.tokens import TokenEndpoint
from omnireel.api.fal.webhooks import JWKS_PATH, jwks_page
from omnireel.api.http.route import TEXT, Access, RequestBody, ResponseSpec, Route
from omnireel.api.pages.descriptions import MODEL_PATH, DescriptionPages
from omnireel.api.pages.health import HealthPages
from omnireel.api.pages.models import Health, OpenApiDocument, QueueDocumentQuery
from omnireel.api.routes.responses import FAL, UNREADABLE
from omnireel.settings import Settings
from omnireel.store.keys import read_pepper


def key_routes(settings: Settings) -> Iterator[Route]:
    """Temporary tokens for web pages, and the public keys that webhooks are signed with."""
    yield Route(
        "POST",
        "/rest/tokens",
        TokenEndpoint(read_pepper(settings.pepper_path)).answer,
        FAL,
        operation_id="token",
        summary="A temporary token that a web page uses in place of the caller's key",
        body=RequestBody(NewToken),
        responses={200: ResponseSpec("The token", str)} | UNREADABLE,
    )
    jwks = Route(
        "GET",
        JWKS_PATH,
        jwks_page(settings),
        FAL,
        operation_id="jwks",
        summary="The public keys that webhooks are signed with",
        access=Access.OPEN,
        responses={200: ResponseSpec("The keys", KeySet)},
    )
    yield jwks
    # Receivers of webhooks look for the keys on fal's REST host.
    yield replace(jwks, path=f"/rest{JWKS_PATH}", operation_id="restJwks")


def page_routes(descriptions: DescriptionPages, health: HealthPages) -> Iterator[Route]:
    """Pages about the server itself. Anyone may read them."""
    yield from _description_routes(descriptions)
    yield from _health_routes(health)


def _description_routes(descriptions: DescriptionPages) -> Iterator[Route]:
    llms = Route(
        "GET",
        "/llms.txt",
        descriptions.llms,
        FAL,
        operation_id="llms",
        summary="The endpoint, described for language models",
        access=Access.OPEN,
        responses={200: ResponseSpec("The description", str, media_type=TEXT)},
    )
    yield llms
    yield replace(llms, path=f"{MODEL_PATH}/llms.txt", operation_id="modelLlms")
    model = Route(
        "GET",
        MODEL_PATH,
        descriptions.model,
        FAL,
        operation_id="modelPage",
        summary="Leads to the page that describes the endpoint",
        access=Access.OPEN,
        responses={307: ResponseSpec("The page is elsewhere", headers=("location",), media_type=None)},
    )
    yield model
    yield replace(model, path=f"{MODEL_PATH}/api", operation_id="modelApiPage")
    openapi = Route(
        "GET",
        "/openapi.json",
        descriptions.openapi,
        FAL,
        operation_id="openapi",
        summary="This document",
        access=Access.OPEN,
        responses={200: ResponseSpec("The document", OpenApiDocument)},
    )
    yield openapi
    yield replace(
        openapi,
        path="/api/openapi/queue/openapi.json",
        endpoint=descriptions.queue_openapi,
        operation_id="queueOpenapi",
        summary="The OpenAPI document about the queue of one endpoint, as the hosted service has it",
        query_model=QueueDocumentQuery,
        responses={
            200: ResponseSpec("The document", OpenApiDocument),
            400: ResponseSpec("The query names no endpoint", RequestProblem, ("x-fal-error-type",)),
            404: ResponseSpec(
                "This server does not have the endpoint", RequestProblem, ("x-fal-error-type",)
            ),
        },
    )


def _health_routes(health: HealthPages) -> Iterator[Route]:
    health_route = Route(
        "GET",
        "/health",
        health.health,
        FAL,
        operation_id="health",
        summary="The state of the server",
        access=Access.OPEN,
        responses={
            200: ResponseSpec("The server answers; its status says whether the model can be asked", Health)
        },
    )
    yield health_route
    yield replace(
        health_route,
        path="/health/ready",
        endpoint=health.ready,
        operation_id="ready",
        summary="Whether the model can be asked",
        responses={
            200: ResponseSpec("The model can be asked", Health),
            503: ResponseSpec("The model is not ready", Health),
        },
    )
