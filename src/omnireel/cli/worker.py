"""`omnireel worker`: runs queued jobs of the same data directory, without a port."""

import asyncio
import signal

import structlog
import typer

from omnireel.api.app import make_worker, stop_worker
from omnireel.backends.base import Backend
from omnireel.cli.backend import open_backend
from omnireel.cli.failures import INTERRUPTED
from omnireel.cli.serve import configure_log
from omnireel.settings import Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()


def work_forever(settings: Settings) -> None:
    """Take jobs until a signal comes; those that run then get a while to finish, and else go back.

    A second signal ends that while. Raises CheckpointError when the model cannot be loaded.
    """
    configure_log()
    if asyncio.run(_work(open_backend(settings), settings)) == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


async def _work(backend: Backend, settings: Settings) -> signal.Signals | None:
    """The first signal; None where the work ended by itself, which only an error brings about."""
    worker = make_worker(backend, settings)
    work = asyncio.create_task(worker.run())
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number)
    log.info("working", worker=worker.rule.name, model=settings.model)
    try:
        first = asyncio.create_task(signals.get())
        await asyncio.wait({first, work}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            first.cancel()
            await work
            return None
        impatience = asyncio.create_task(signals.get())
        impatience.add_done_callback(lambda task: None if task.cancelled() else worker.give_up())
        await stop_worker(worker, work)
        impatience.cancel()
        return first.result()
    finally:
        await backend.close()
        worker.database.close()
