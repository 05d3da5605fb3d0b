"""Dry runs over HTTP: the frames, tokens and price of a request. They store no job and cost nothing."""

import asyncio
import uuid
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.attached import RequestTurn, unless_disconnected
from omnireel.api.fal.errors import NO_CHARGE
from omnireel.api.fal.output import estimate_report, picture_report
from omnireel.api.fal.responses import name_ignored_fields
from omnireel.api.fal.submit import Submissions, without_clip
from omnireel.api.http.caller import key_of, owner_of
from omnireel.api.http.responses import json_response
from omnireel.errors import GenerationError, InputError
from omnireel.jobs.submit import not_stored
from omnireel.shares import FairShares
from omnireel.storage.blob_store import BlobStore
from omnireel.task import Inspection, Task


@dataclass(frozen=True)
class EstimateEndpoint:
    """The routes that count frames, tokens and price, without and with pictures of the frames."""

    submissions: Submissions
    shares: FairShares

    async def answer(self, request: Request) -> Response:
        """Read the request, fetch its clip and inspect it. Raises OmnireelError as a run would before inference.

        A disconnect cancels it.
        """
        return await self._inspected(request, pictures=False)

    async def pictures(self, request: Request) -> Response:
        """The same, and read the chosen frames. Raises also the errors of a clip that cannot be decoded."""
        return await self._inspected(request, pictures=True)

    async def _inspected(self, request: Request, *, pictures: bool) -> Response:
        await self.submissions.submitter.count_request(key_of(request))
        name = f"estimate-{uuid.uuid4()}"
        try:
            with RequestTurn(request, self.shares) as turn:
                task, ignored, is_saved = await self._read(request, name, turn)
                await turn.wait(None)
                inspecting = self._inspect(task, name if is_saved else None, pictures=pictures)
                inspection = await unless_disconnected(request, asyncio.ensure_future(inspecting))
        except InputError as error:
            await self.submissions.submitter.count_failure(key_of(request), error)
            raise
        finally:
            await self._blobs.remove([name])
        report_of = picture_report if pictures else estimate_report
        report = await asyncio.to_thread(report_of, inspection, task.sampling.max_tokens)
        response = json_response(report, 200, NO_CHARGE)
        name_ignored_fields(response, ignored)
        return response

    @property
    def _blobs(self) -> BlobStore:
        return self.submissions.submitter.media.blobs

    async def _read(self, request: Request, name: str, turn: RequestTurn) -> tuple[Task, list[str], bool]:
        """The task without its clip, names of ignored fields, and whether the clip was saved as the blob `name`."""
        submitter = self.submissions.submitter
        async with self.submissions.reading(request) as body:
            task = replace(body.value.task, tenant=owner_of(request))
            await submitter.check_length(task)
            stored = await self.submissions.find_stored(request, task)
            turn.check_room()
            try:
                is_saved = await submitter.media.save(
                    task.references[0], name, stored=stored, is_durable=False
                )
            except FileNotFoundError:  # it has expired since it was found
                raise not_stored() from None
            if is_saved:
                request.state.task = task = without_clip(task)
            return task, body.value.ignored, is_saved

    async def _inspect(self, task: Task, name: str | None, *, pictures: bool) -> Inspection:
        max_run_s, media = self.submissions.settings.max_run_s, self.submissions.submitter.media
        try:
            file = media.file(task.references[0], name, owner=task.tenant or "")
            async with asyncio.timeout(max_run_s), file as path:
                return await self.submissions.submitter.backend.inspect(task, [path], pictures=pictures)
        except TimeoutError:
            message = f"The estimate took longer than {max_run_s:g} s."
            raise GenerationError(message, kind="generation_timeout") from None
