"""Whether this server can answer questions."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.responses import json_response
from omnireel.api.pages.models import Health
from omnireel.backends.base import Backend


@dataclass(frozen=True)
class HealthPages:
    """Reports the state of the backend.

    version: of this package
    """

    backend: Backend
    version: str

    async def health(self, _: Request) -> Response:
        """200 as long as the server answers at all; the body says whether the model can be asked."""
        return json_response((await self._health()).content(), 200)

    async def ready(self, _: Request) -> Response:
        """200 if the model can be asked, else 503."""
        health = await self._health()
        return json_response(health.content(), 200 if health.status == "ok" else 503)

    async def _health(self) -> Health:
        state = await self.backend.health()
        detail = {} if state.detail is None else {"detail": state.detail}
        return Health(
            status="ok" if state.is_ready else "not ready",
            version=self.version,
            backend=self.backend.name,
            model=state.model,
            sandbox="weak" if state.sandbox_misses else "full",
            intrusions=state.num_sandbox_violations,
            **detail,
        )
