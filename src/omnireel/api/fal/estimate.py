"""A dry run over HTTP: what an ask would look at and cost. No inference, no job, no charge."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal import wire
from omnireel.api.fal.attached import ConcurrencyLimit
from omnireel.api.fal.storage.stored_video import link_stored_video
from omnireel.api.fal.submit import Submitter
from omnireel.api.fal.sync import name_ignored_fields
from omnireel.api.http.body import parse_json, read_body
from omnireel.api.http.caller import key_of
from omnireel.api.http.errors import json_response
from omnireel.backends.base import Inspection
from omnireel.errors import GenerationError
from omnireel.storage.media import fetch_video
from omnireel.storage.policy import fetch_policy


@dataclass(frozen=True)
class EstimateEndpoint:
    """Answers a caller for whom there is a place."""

    submitter: Submitter
    limit: ConcurrencyLimit

    async def answer(self, request: Request) -> Response:
        """Read, fetch, look. Raises OmnireelError, as the ask itself would before inference."""
        self.submitter.rates.admit(key_of(request))
        with self.limit.acquire():
            return await self._estimate(request)

    async def _estimate(self, request: Request) -> Response:
        fields = parse_json(await read_body(request, self.submitter.settings.max_body_bytes))
        if isinstance(fields, dict):
            request.state.fields = fields
        sent = wire.parse_input(fields)
        report = wire.estimate_report(await self._inspect(request, sent), sent.max_tokens)
        response = json_response(report, 200, {"x-fal-billable-units": "0"})
        name_ignored_fields(response, wire.ignored_fields(fields))
        return response

    async def _inspect(self, request: Request, sent: wire.Nemotron3NanoOmniVideoInput) -> Inspection:
        settings = self.submitter.settings
        try:
            async with asyncio.timeout(settings.max_run_s), self._video(request, sent.video_url) as video:
                return await self.submitter.backend.inspect(wire.to_ask(sent, video))
        except TimeoutError:
            message = f"the estimate took longer than {settings.max_run_s:g} s"
            raise GenerationError(message, kind="generation_timeout", status=504) from None

    @asynccontextmanager
    async def _video(self, request: Request, video_url: str) -> AsyncIterator[Path]:
        spool, name = self.submitter.worker.spool, f"estimate-{uuid.uuid4()}"
        if await link_stored_video(self.submitter.files, request, video_url, spool.path(name)):
            try:
                yield spool.path(name)
            finally:
                spool.remove(name)
            return
        async with fetch_video(video_url, fetch_policy(self.submitter.settings)) as path:
            yield path
