"""Whether this server can answer questions."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.responses import json_response
from omnireel.api.pages.models import Health
from omnireel.jobs.supervisor import Supervisor


@dataclass(frozen=True)
class HealthPages:
    """Reports the state of the server.

    version:     of this package
    num_dropped: returns how many entries of the log were dropped
    """

    supervisor: Supervisor
    version: str
    num_dropped: Callable[[], int]

    async def health(self, _: Request) -> Response:
        """200 as long as the server answers at all; the body says whether the model can be asked."""
        return json_response((await self._health()).content(), 200)

    async def ready(self, _: Request) -> Response:
        """200 if the model can be asked, else 503."""
        health = await self._health()
        return json_response(health.content(), 200 if health.status == "ok" else 503)

    async def _health(self) -> Health:
        backend, is_broken = self.supervisor.backend, self.supervisor.is_broken
        state = await backend.health()
        full = self.supervisor.disk.problem
        why = "A background task has failed, and the process ends." if is_broken else state.detail or full
        detail = {} if why is None else {"detail": why}
        return Health(
            status="ok" if state.is_ready and not is_broken and full is None else "not ready",
            version=self.version,
            backend=backend.name,
            model=state.model,
            sandbox="weak" if state.sandbox_misses else "full",
            intrusions=state.num_sandbox_violations,
            dropped_log_entries=self.num_dropped(),
            **detail,
        )
