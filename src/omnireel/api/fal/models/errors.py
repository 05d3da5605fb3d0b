"""The shapes of error bodies."""

from typing import Any, Literal

from pydantic import Field

from omnireel.api.http.wire_model import WireModel


class Problem(WireModel):
    """One thing that is wrong with the input, or with the model's run on it."""

    loc: list[str | int] = Field(description="Where it is: body, query, header or path, then the field.")
    msg: str
    type: str = Field(description="A name for programs.")
    url: str | None = Field(default=None, description="A page that explains the type.")
    ctx: dict[str, Any] | None = Field(default=None, description="The limit, and the value that breaks it.")
    input: Any = Field(default=None, description="The value that was sent, shortened.")


class Problems(WireModel):
    """The error of an input that cannot be used, or of a run that failed."""

    detail: list[Problem]
    message: str = Field(description="All problems in one line.")


class RequestProblem(WireModel):
    """The error of a request that cannot be served, whatever its input is."""

    detail: str
    message: str
    error_type: str | None = Field(default=None, description="A name for programs.")
    status: str | None = Field(default=None, description="The status of the job that the request is about.")


class ServerProblem(WireModel):
    """The error of a server that failed. Its log has the reason."""

    detail: Literal["Internal Server Error"]


AnyProblem = Problems | RequestProblem
