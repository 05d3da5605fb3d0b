"""A dry run over HTTP: the frames, tokens and price of a request. It stores no job and costs nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.attached import ConcurrencyLimit
from omnireel.api.fal.errors import NO_CHARGE
from omnireel.api.fal.output import estimate_report
from omnireel.api.fal.responses import name_ignored_fields
from omnireel.api.fal.submit import Submissions
from omnireel.api.http.caller import key_of
from omnireel.api.http.responses import json_response
from omnireel.errors import GenerationError
from omnireel.jobs.submit import not_stored
from omnireel.store.uploads import StoredFile
from omnireel.task import Inspection, Task


@dataclass(frozen=True)
class EstimateEndpoint:
    """The route that counts frames, tokens and price."""

    submissions: Submissions
    limit: ConcurrencyLimit

    async def answer(self, request: Request) -> Response:
        """Read the request, fetch its clip and inspect it. Raises OmnireelError as a run would before inference."""
        await self.submissions.submitter.count_request(key_of(request))
        read = await self.submissions.read(request)
        await self.submissions.submitter.check_length(read.task)
        stored = await self.submissions.find_stored(request, read.task)
        with self.limit.acquire():
            report = estimate_report(await self._inspect(read.task, stored), read.task.sampling.max_tokens)
            response = json_response(report, 200, NO_CHARGE)
            name_ignored_fields(response, read.ignored)
            return response

    async def _inspect(self, task: Task, stored: StoredFile | None) -> Inspection:
        max_run_s = self.submissions.settings.max_run_s
        try:
            async with asyncio.timeout(max_run_s), self._media(task, stored) as path:
                return await self.submissions.submitter.backend.inspect(task, [path])
        except TimeoutError:
            message = f"The estimate took longer than {max_run_s:g} s."
            raise GenerationError(message, kind="generation_timeout") from None

    @asynccontextmanager
    async def _media(self, task: Task, stored: StoredFile | None) -> AsyncIterator[Path]:
        media, reference = self.submissions.submitter.media, task.references[0]
        if stored is None:
            async with media.file(reference, None) as path:
                yield path
            return
        name = f"estimate-{uuid.uuid4()}"
        try:
            await media.save(reference, name, stored=stored)
        except FileNotFoundError:  # it has expired since it was found
            raise not_stored() from None
        try:
            async with media.file(reference, name) as path:
                yield path
        finally:
            await media.blobs.remove([name])
