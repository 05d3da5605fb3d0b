"""The shapes of temporary tokens and of the keys that webhooks are signed with."""

from typing import Annotated, Literal

from pydantic import Field

from omnireel.api.fal.input import APP_ID
from omnireel.api.fal.tokens import APP, MAX_LIFETIME_S
from omnireel.api.http.wire_model import WireModel

_AppName = Annotated[str, Field(json_schema_extra={"enum": [APP, APP_ID]})]


class NewToken(WireModel):
    """What a temporary token may be used for, and for how long."""

    allowed_apps: list[_AppName] = Field(min_length=1)
    token_expiration: int | None = Field(default=None, ge=1, le=MAX_LIFETIME_S, description="Seconds.")


class SigningKey(WireModel):
    """A public key that webhooks are signed with, as RFC 8037 writes it."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: str | None = None
    alg: str | None = None


class KeySet(WireModel):
    """A JSON Web Key Set."""

    keys: list[SigningKey]
