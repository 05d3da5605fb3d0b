"""The OpenAPI document about files: the rest door gives addresses, the cdn door takes and serves bytes."""

from omnireel.api.openapi.parts import (
    INTEGER,
    JSON,
    MOMENT,
    TEXT,
    Operation,
    Paths,
    Schema,
    answer,
    failed,
    fields,
    json_body,
    list_of,
    parameter,
    path_part,
    ref,
    unauthorized,
    unreadable,
)
from omnireel.store.sqlite.uploads import MAX_PARTS

_BYTES: Schema = {"type": "string", "format": "binary"}
_ANY_TYPE = "application/octet-stream"
_FILE_BODY = {"required": True, "content": {_ANY_TYPE: {"schema": _BYTES}}}
_NAME = path_part("name", "The last part of the file's address.")
_TOKEN = path_part("token", "Part of the address that was given for the upload; it stands for a key.")
_LIFECYCLE = parameter(
    "x-fal-object-lifecycle",
    TEXT,
    'JSON: {"expiration_duration_seconds": 3600} keeps the file for an hour.',
    where="header",
)
_FILE_NAME = parameter("x-fal-file-name", TEXT, "The file's own name.", where="header")


def storage_paths() -> Paths:
    """Every step of an upload, in the order in which they are taken."""
    upload, parts = "/cdn/files/{name}/upload/{token}", "/cdn/files/{name}/multipart/{token}"
    return {
        "/rest/storage/auth/token": {"post": _cdn_token()},
        "/rest/storage/upload/initiate": {"post": _initiate("initiateUpload", "at once")},
        "/rest/storage/upload/initiate-multipart": {"post": _initiate("initiateMultipart", "in parts")},
        "/cdn/files/upload": {"post": _upload()},
        "/cdn/files/upload/multipart": {"post": _begin_multipart()},
        upload: {"put": _put("putFile", "Send the whole file", "StoredFile")},
        f"{parts}/{{number}}": {"put": _put("putPart", "Send one part", "StoredPart", _number())},
        f"{parts}/complete": {"post": _complete()},
        "/cdn/files/{name}": {"get": _file()},
    }


def storage_schemas() -> dict[str, Schema]:
    """By name."""
    described = {"file_name": TEXT | {"nullable": True}, "content_type": TEXT | {"nullable": True}}
    listed = {"partNumber": INTEGER | {"nullable": True}, "etag": TEXT | {"nullable": True}}
    return {
        "NewFile": fields({}, described),
        "ListedParts": fields({"parts": list_of(fields({}, listed))}),
        "CdnToken": fields({"token": TEXT, "token_type": TEXT, "base_url": TEXT, "expires_at": MOMENT}),
        "InitiatedUpload": fields({"upload_url": TEXT, "file_url": TEXT}),
        "StoredFile": fields({"etag": TEXT, "size": INTEGER, "content_type": TEXT}, {"access_url": TEXT}),
        "StoredPart": fields({"partNumber": INTEGER, "etag": TEXT}),
        "MultipartUpload": fields({"access_url": TEXT, "uploadId": TEXT}),
    }


def _cdn_token() -> Operation:
    return {
        "operationId": "cdnToken",
        "summary": "A token for the cdn door",
        "responses": {"200": answer("The token", "CdnToken")} | unauthorized() | failed(),
    }


def _initiate(name: str, how: str) -> Operation:
    return {
        "operationId": name,
        "summary": f"Addresses for a file that comes {how}",
        "parameters": [_LIFECYCLE],
        "requestBody": json_body(ref("NewFile")),
        "responses": {"200": answer("Where to send it, and where it will be", "InitiatedUpload")}
        | unreadable()
        | unauthorized()
        | _too_many()
        | failed(),
    }


def _upload() -> Operation:
    return {
        "operationId": "upload",
        "summary": "Store a file in one request; a token of the cdn door counts like a key",
        "parameters": [_LIFECYCLE, _FILE_NAME],
        "requestBody": _FILE_BODY,
        "responses": {"200": answer("It is stored", "StoredFile", "etag")}
        | _refused_bytes()
        | unauthorized()
        | _too_many()
        | failed(),
    }


def _begin_multipart() -> Operation:
    return {
        "operationId": "beginMultipart",
        "summary": "Begin an upload in parts; a token of the cdn door counts like a key",
        "parameters": [_LIFECYCLE, _FILE_NAME],
        "responses": {
            "200": answer("Where its parts go", "MultipartUpload"),
            "400": answer("A header cannot be read", "Error"),
        }
        | unauthorized()
        | _too_many()
        | failed(),
    }


def _put(name: str, summary: str, stored: str, *more: Operation) -> Operation:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [_NAME, _TOKEN, *more],
        "requestBody": _FILE_BODY,
        "responses": {"200": answer("It has arrived", stored, "etag")}
        | _refused_bytes()
        | _unknown_upload()
        | _too_many()
        | failed(),
    }


def _number() -> Operation:
    return parameter(
        "number", {"type": "integer", "minimum": 1, "maximum": MAX_PARTS}, "From 1.", where="path"
    )


def _complete() -> Operation:
    return {
        "operationId": "completeMultipart",
        "summary": "Make a file of the parts, listed in any order",
        "security": [],
        "parameters": [_NAME, _TOKEN],
        "requestBody": json_body(ref("ListedParts")),
        "responses": {"200": answer("It is stored", "StoredFile", "etag")}
        | unreadable()
        | _unknown_upload()
        | _too_many()
        | failed(),
    }


def _file() -> Operation:
    whole = {"description": "The file", "content": {"*/*": {"schema": _BYTES}}}
    wanted = parameter("range", TEXT, where="header")
    return {
        "operationId": "file",
        "summary": "A stored file, for its owner",
        "parameters": [_NAME, wanted],
        "responses": {
            "200": whole,
            "206": whole | {"description": "The range that was asked for"},
            "304": {"description": "It is what the caller has already"},
            "404": answer("The caller has no such file", "RequestError"),
            "416": {
                "description": "The file has fewer bytes",
                "headers": {"content-range": {"schema": TEXT}},
                "content": {JSON: {"schema": ref("RequestError")}},
            },
        }
        | unauthorized()
        | failed(),
    }


def _refused_bytes() -> Operation:
    return {
        "400": answer(
            "A header cannot be read, there is no part of that number, or the upload has ended", "Error"
        ),
        "413": answer("The file is too large, or there is no room", "Error"),
        "415": answer("It is compressed", "Error"),
    }


def _too_many() -> Operation:
    return {"429": answer("Too many uploads are open", "RequestError", "retry-after")}


def _unknown_upload() -> Operation:
    return {"404": answer("The upload is unknown, or its address has expired", "Error")}
