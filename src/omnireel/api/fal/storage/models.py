"""The shapes of uploads and stored files."""

from datetime import datetime

from pydantic import BaseModel, Field

from omnireel.api.http.wire_model import WireModel
from omnireel.store.uploads import MAX_PARTS


class NewFile(BaseModel):
    """A caller's description of a file that will be sent."""

    file_name: str | None = Field(default=None, description="The file's own name.")
    content_type: str | None = Field(default=None, description="Its media type.")


class ListedPart(BaseModel):
    """One part in the list that completes an upload."""

    partNumber: int | None = Field(default=None, description="From 1.")  # noqa: N815
    etag: str | None = Field(default=None, description="As the response to the part has it.")


class ListedParts(BaseModel):
    """The parts of a file, in any order."""

    parts: list[ListedPart]


class CdnToken(WireModel):
    """A token for the CDN host."""

    token: str
    token_type: str
    base_url: str = Field(description="The address of the CDN host.")
    expires_at: datetime


class InitiatedUpload(WireModel):
    """Addresses for a new file."""

    upload_url: str = Field(description="Where to send the bytes.")
    file_url: str = Field(description="The address that the file will have; usable as video_url.")


class StoredFileInfo(WireModel):
    """A file that is stored."""

    etag: str
    size: int = Field(description="Bytes.")
    content_type: str
    access_url: str | None = Field(default=None, description="The address of the file; usable as video_url.")


class StoredPart(WireModel):
    """A part that has arrived."""

    partNumber: int  # noqa: N815
    etag: str


class MultipartUpload(WireModel):
    """An upload in parts that has begun."""

    access_url: str = Field(description="The address that the file will have.")
    uploadId: str  # noqa: N815


class UploadHeaders(WireModel):
    """Headers about a new file."""

    lifecycle: str | None = Field(
        default=None,
        alias="x-fal-object-lifecycle",
        description='JSON: {"expiration_duration_seconds": 3600} keeps the file for an hour.',
    )


class NamedUploadHeaders(UploadHeaders):
    """Headers about a new file that is sent without a JSON description."""

    file_name: str | None = Field(default=None, alias="x-fal-file-name", description="The file's own name.")


class FilePath(WireModel):
    """The part of a path that names a file."""

    name: str = Field(min_length=1, description="The last part of the file's address.")


class UploadPath(FilePath):
    """The parts of an upload's address."""

    token: str = Field(
        min_length=1, description="The secret part of the upload's address. It replaces a key."
    )


class PartPath(UploadPath):
    """The parts of the address of one part of an upload."""

    number: int = Field(ge=1, le=MAX_PARTS, description="From 1.")


class FileHeaders(WireModel):
    """Headers of a request for a file."""

    range: str | None = Field(default=None, description="One range of bytes, such as bytes=0-99.")
