"""Routes of the playground: its page and the files of the page. Anyone may read them."""

from collections.abc import Iterator

from omnireel.api.fal.models.errors import RequestProblem
from omnireel.api.http.route import Access, ResponseSpec, Route
from omnireel.api.pages.models import PlaygroundFile
from omnireel.api.pages.playground.page import page, static_file
from omnireel.api.routes.responses import FAL

_NOT_MODIFIED = {304: ResponseSpec("The caller has it already", media_type=None)}


def playground_routes() -> Iterator[Route]:
    """The page, and its files."""
    yield Route(
        "GET",
        "/",
        page,
        FAL,
        operation_id="playground",
        summary="The playground, a web page to try the model in",
        access=Access.OPEN,
        responses={200: ResponseSpec("The page", str, ("etag",), media_type="text/html")} | _NOT_MODIFIED,
    )
    yield Route(
        "GET",
        "/playground/{name}",
        static_file,
        FAL,
        operation_id="playgroundFile",
        summary="A file of the playground",
        access=Access.OPEN,
        path_model=PlaygroundFile,
        responses={
            200: ResponseSpec("The file", bytes, ("etag",), media_type="*/*"),
            404: ResponseSpec("The playground has no such file", RequestProblem),
        }
        | _NOT_MODIFIED,
    )
