"""`omnireel worker`: runs queued jobs of a data directory, without HTTP."""

import asyncio
import signal
from functools import partial

import structlog
import typer

from omnireel.api.fal.output import end_policy
from omnireel.backends.base import Backend
from omnireel.cli.backend import check_effects, open_backend, served_limits, served_model
from omnireel.cli.failures import INTERRUPTED
from omnireel.cli.sandbox import fork_server_running, require_sandbox
from omnireel.cli.serving.bounded_writer import BoundedWriter
from omnireel.cli.serving.log import end_process, logging_to_stderr
from omnireel.jobs.supervisor import make_supervisor
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()


def work_forever(settings: Settings) -> None:
    """Run jobs until a signal comes. Running jobs then have some time to finish; after it they are requeued.

    A second signal ends that time. Raises CheckpointError if the model cannot be loaded, OmnireelError if the
    decoder cannot be confined or the data directory cannot be used.
    """
    check_effects(settings, "worker")
    with logging_to_stderr() as log_writer:
        require_sandbox(settings)
        make_directory(settings.data_directory)
        backend = open_backend(settings, served_limits(settings))
        with fork_server_running():
            first_signal = asyncio.run(_work(backend, settings, log_writer))
    if first_signal == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


async def _work(backend: Backend, settings: Settings, log_writer: BoundedWriter) -> signal.Signals:
    """Run jobs until the first signal, which is returned."""
    on_failure = partial(end_process, log_writer)
    supervisor = make_supervisor(backend, settings, end_policy(settings), on_failure=on_failure)
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number)
    model = served_model(settings, await backend.health())
    log.info("working", worker=supervisor.worker.policy.name, model=model)
    supervisor.start()
    try:
        first = await signals.get()
        second = asyncio.create_task(signals.get())
        second.add_done_callback(lambda task: None if task.cancelled() else supervisor.worker.give_up())
    finally:
        await supervisor.stop()
        await backend.close()
    second.cancel()
    return first
