"""Routes for uploads on fal's REST host, and for files on its CDN host."""

from collections.abc import Iterator
from dataclasses import replace

from omnireel.api.fal.models.errors import AnyProblem, RequestProblem
from omnireel.api.fal.storage import models as storage
from omnireel.api.fal.storage.routes import StorageRoutes
from omnireel.api.fal.storage.served_files import ServedFiles
from omnireel.api.http.route import BYTES, Access, RequestBody, ResponseSpec, Route
from omnireel.api.routes.responses import FAL, UNREADABLE, UNWRITABLE
from omnireel.settings import Settings
from omnireel.storage.uploads import Uploads

_NOT_WRITTEN = UNWRITABLE | {507: ResponseSpec("The server's disk is full", RequestProblem, ("retry-after",))}
_TOO_MANY_UPLOADS = {
    429: ResponseSpec("Too many uploads are open", RequestProblem, ("retry-after",))
} | _NOT_WRITTEN
_UNKNOWN_UPLOAD = {404: ResponseSpec("The upload is unknown, or its address has expired", AnyProblem)}
_BYTES_REFUSED = {
    400: ResponseSpec("A header or the part number is not valid, or the upload has ended", AnyProblem),
    413: ResponseSpec("The file is too large, or there is no space for it", AnyProblem),
    415: ResponseSpec("The file is compressed", AnyProblem),
}


def upload_routes(uploads: Uploads, settings: Settings) -> Iterator[Route]:
    """Uploads, at once or in parts, and stored files."""
    routes = StorageRoutes(uploads, settings)
    yield Route(
        "POST",
        "/rest/storage/auth/token",
        routes.token,
        FAL,
        operation_id="cdnToken",
        summary="A token for the CDN host",
        responses={200: ResponseSpec("The token", storage.CdnToken)} | UNWRITABLE,
    )
    at_once = Route(
        "POST",
        "/rest/storage/upload/initiate",
        routes.initiate,
        FAL,
        operation_id="initiateUpload",
        summary="Addresses for a file that is sent at once",
        header_model=storage.UploadHeaders,
        body=RequestBody(storage.NewFile),
        responses={200: ResponseSpec("Where to send it, and where it will be", storage.InitiatedUpload)}
        | UNREADABLE
        | _TOO_MANY_UPLOADS,
    )
    yield at_once
    yield replace(
        at_once,
        path="/rest/storage/upload/initiate-multipart",
        endpoint=routes.initiate_multipart,
        operation_id="initiateMultipart",
        summary="Addresses for a file that is sent in parts",
    )
    yield from _cdn_upload_routes(routes)
    yield from _file_routes(routes, ServedFiles(uploads, settings))


def _file_routes(routes: StorageRoutes, served: ServedFiles) -> Iterator[Route]:
    """Reading and deleting a stored file."""
    yield Route(
        "DELETE",
        "/cdn/files/{name}",
        routes.delete,
        FAL,
        operation_id="deleteFile",
        summary="Delete a stored file; jobs that were sent already keep it",
        access=Access.KEY_OR_CDN_TOKEN,
        path_model=storage.FilePath,
        responses={
            204: ResponseSpec("The file is deleted", media_type=None),
            404: ResponseSpec("The caller has no such file", RequestProblem),
        }
        | UNWRITABLE,
    )
    yield Route(
        "GET",
        "/cdn/files/{name}",
        served.answer,
        FAL,
        operation_id="file",
        summary="A stored file, for its owner",
        access=Access.KEY_OR_CDN_TOKEN,
        path_model=storage.FilePath,
        header_model=storage.FileHeaders,
        responses={
            200: ResponseSpec("The file", bytes, ("etag",), media_type="*/*"),
            206: ResponseSpec(
                "The range that was asked for", bytes, ("etag", "content-range"), media_type="*/*"
            ),
            304: ResponseSpec("The caller has the file already", media_type=None),
            404: ResponseSpec("The caller has no such file", RequestProblem),
            416: ResponseSpec("The file has fewer bytes", RequestProblem, ("content-range",)),
        },
    )


def _cdn_upload_routes(routes: StorageRoutes) -> Iterator[Route]:
    stored = {200: ResponseSpec("The file is stored", storage.StoredFileInfo, ("etag",))}
    whole_file = RequestBody(bytes, BYTES)
    parts = "/cdn/files/{name}/multipart/{token}"
    yield Route(
        "POST",
        "/cdn/files/upload",
        routes.upload,
        FAL,
        operation_id="upload",
        summary="Store a file in one request",
        access=Access.KEY_OR_CDN_TOKEN,
        header_model=storage.NamedUploadHeaders,
        body=whole_file,
        responses=stored | _BYTES_REFUSED | _TOO_MANY_UPLOADS,
    )
    yield Route(
        "POST",
        "/cdn/files/upload/multipart",
        routes.begin_multipart,
        FAL,
        operation_id="beginMultipart",
        summary="Begin an upload in parts",
        access=Access.KEY_OR_CDN_TOKEN,
        header_model=storage.NamedUploadHeaders,
        responses={
            200: ResponseSpec("Where to send its parts", storage.MultipartUpload),
            400: ResponseSpec("A header is not valid", AnyProblem),
        }
        | _TOO_MANY_UPLOADS,
    )
    put_file = Route(
        "PUT",
        "/cdn/files/{name}/upload/{token}",
        routes.put_file,
        FAL,
        operation_id="putFile",
        summary="Send the whole file",
        access=Access.TOKEN_IN_PATH,
        path_model=storage.UploadPath,
        body=whole_file,
        responses=stored | _BYTES_REFUSED | _UNKNOWN_UPLOAD | _TOO_MANY_UPLOADS,
    )
    yield put_file
    yield replace(
        put_file,
        path=f"{parts}/{{number}}",
        endpoint=routes.put_part,
        operation_id="putPart",
        summary="Send one part",
        path_model=storage.PartPath,
        responses={
            **put_file.responses,
            200: ResponseSpec("The part has arrived", storage.StoredPart, ("etag",)),
        },
    )
    yield Route(
        "POST",
        f"{parts}/complete",
        routes.complete,
        FAL,
        operation_id="completeMultipart",
        summary="Make a file of the parts, listed in any order",
        access=Access.TOKEN_IN_PATH,
        path_model=storage.UploadPath,
        body=RequestBody(storage.ListedParts),
        responses=stored | UNREADABLE | _UNKNOWN_UPLOAD | _TOO_MANY_UPLOADS,
    )
