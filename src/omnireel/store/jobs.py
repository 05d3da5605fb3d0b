"""A job as the store knows it, and what a store of jobs can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from omnireel.task import Failure, Outcome, Task

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Cancelling = Literal["removed", "requested", "ended", "unknown"]

# How long the same idempotency key means the same job.
IDEMPOTENCY_S = 24 * 3600.0
# The longest wait of a job that was taken back from a dead worker.
MAX_BACKOFF_S = 60.0
# How long an answer that is not to be kept can be fetched from the queue, and by a caller who waits for it.
UNKEPT_S, UNKEPT_ATTACHED_S = 3600.0, 60.0
# No caller waits longer with an open request: a pinned job that is still queued then has lost its server.
MAX_PINNED_S = 3600.0


class State(StrEnum):
    """Where a job stands. queued → running → one of the rest; running may fall back to queued."""

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def is_final(self) -> bool:
        """It has ended, and stays as it is."""
        return self not in (State.queued, State.running)


@dataclass(frozen=True)
class Submission:
    """A job that is to be stored.

    id:               a UUID made by the submitter
    owner:            the account it belongs to; "" where the server asks for no key
    media:            name of the blob that holds the task's clip, where it came with the request or was stored here
    is_low:           waits behind every job that is not
    pinned_to:        the one worker that may run it, because its caller's request is open there
    start_deadline_s: seconds within which it has to begin
    max_queued:       refuse when more jobs are waiting already
    key_id:           the key it was sent with; "" where the server asks for none
    reserved_micro:   most that it can cost, in millionths of a US dollar; counts where the key has a cap
    """

    id: str
    owner: str
    task: Task
    media: str | None = None
    is_low: bool = False
    pinned_to: str | None = None
    webhook_url: str | None = None
    keeps_io: bool = True
    retries: int = 9
    start_deadline_s: float | None = None
    max_queued: int | None = None
    idempotency_key: str | None = None
    key_id: str = ""
    reserved_micro: int = 0


@dataclass(frozen=True)
class Job:
    """A job as it was read.

    task:         without content once its owner had it dropped, or where it was not to be kept and has ended
    outcome:      None until the job has ended, and once the outcome has been dropped
    failure:      why it failed: kept when the outcome has been dropped
    num_tokens:   input and output tokens that were charged; 0 until the job has succeeded
    """

    id: str
    owner: str
    state: State
    pinned_to: str | None
    task: Task
    media: str | None
    webhook_url: str | None
    keeps_io: bool
    retries: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    start_deadline_at: float | None
    attempt: int
    lease_token: int
    cancel_requested: bool
    outcome: Outcome | None
    failure: Failure | None
    num_tokens: int


@dataclass(frozen=True)
class LogLine:
    """One line for the job's owner; number counts from 0 within the job."""

    number: int
    at: float
    level: Level
    message: str


NewLogLine = tuple[float, Level, str]


@dataclass(frozen=True)
class Claim:
    """Which jobs a worker takes.

    worker:   its name
    max_jobs: as many at most
    """

    worker: str
    max_jobs: int
    lease_s: float


@dataclass(frozen=True)
class EndPolicy:
    """How the store ends jobs by itself, and what it writes when any job ends.

    cancelled, not_started, lost: the outcomes of such jobs
    webhook_body:    of a job that has ended: (job id, its task, its outcome) → bytes
    micro_per_token: millionths of a US dollar
    max_crashes:     a job whose worker died that often is lost
    """

    cancelled: Failure
    not_started: Failure
    lost: Failure
    webhook_body: Callable[[str, Task, Outcome], bytes]
    micro_per_token: int
    max_crashes: int = 3


def state_of(outcome: Outcome) -> State:
    """The state of a job that ends with this outcome."""
    if not isinstance(outcome, Failure):
        return State.succeeded
    return State.cancelled if outcome.kind == "cancelled" else State.failed


class JobStore(Protocol):
    """Jobs, their logs and their leases. `now`: Unix seconds. Writes are durable when awaited.

    A job is charged at most once and ends once; its webhook is stored in the transaction that ends it. A worker
    proves with its lease token that a job is still its own: one that was presumed dead changes nothing.
    Raises CapacityError where the store cannot write.
    """

    async def submit(
        self, submission: Submission, *, fingerprint: str, now: float, claim: Claim | None = None
    ) -> tuple[Job, list[Job]]:
        """Store a new job, or find the one that the same idempotency key made; then `claim`, in one commit.

        fingerprint: of the request, to tell a repetition from another request under the same key
        Returns the job and what was claimed. Raises CapacityError beyond max_queued or where too many of the
        key's jobs are unfinished, InputError(idempotency_mismatch), DeniedError for a revoked key or a cap that
        the job could break.
        """

    async def claim(self, claim: Claim, *, now: float) -> list[Job]:
        """The next jobs for a worker, in order, now running under a lease; fewer than max_jobs: no more wait.

        Low jobs come last. Otherwise it is the turn of the owner with the fewest running jobs, and among those
        of the one who was served longest ago.
        """

    async def renew_leases(
        self, jobs: Sequence[Job], *, worker: str, lease_s: float, now: float
    ) -> list[bool | None]:
        """For each job: whether it is to be cancelled; None where it is no longer this worker's."""

    async def finish(
        self,
        job: Job,
        outcome: Outcome,
        policy: EndPolicy,
        *,
        worker: str,
        log: Sequence[NewLogLine],
        now: float,
    ) -> bool:
        """End a running job, charge for it, store its webhook and its last log lines.

        False, and only the log stored, where it is no longer this worker's.
        """

    async def requeue(
        self, job: Job, *, worker: str, after_s: float, counts: bool, log: Sequence[NewLogLine], now: float
    ) -> bool:
        """Let a running job wait again; counts: the attempt was one.

        False where it is not this worker's, or where it counts and no retry is left.
        """

    def append_log(self, job_id: str, lines: Sequence[NewLogLine]) -> None:
        """Add lines to a job's log, without waiting until they are stored."""

    async def cancel(self, job_id: str, policy: EndPolicy, *, now: float) -> Cancelling:
        """End a waiting job; ask for the end of a running one."""

    async def end_overdue(
        self, policy: EndPolicy, *, running: Sequence[Job], worker: str, lease_s: float, now: float
    ) -> list[str]:
        """End what waited past its start deadline; take back what a dead worker held. Returns ids of ended jobs.

        running: what this worker runs; their leases are renewed first where some lease has run out, since the
                 store may have been unwritable for a while, or the machine asleep
        A missed lease is a crash: the job waits again, longer each time, and ends as lost after max_crashes, or
        where no retry is left.
        """

    async def purge(self, *, before: float) -> None:
        """Delete jobs that ended before a time, their logs and their ended webhooks; the ledger stays."""

    async def purge_unkept(self, *, now: float) -> None:
        """Drop the outcomes whose callers asked that none be kept, once they have had time to fetch them."""

    async def drop_payloads(
        self, job_id: str, *, owner: str | None
    ) -> Literal["dropped", "running", "unknown"]:
        """Drop what an ended job was sent and what it answered, in webhooks too; what it cost stays known."""

    async def find(self, job_id: str) -> Job | None:
        """The job as it stands."""

    async def position(self, job_id: str) -> int:
        """How many waiting jobs come before it, if owners go on taking turns."""

    async def num_queued(self) -> int:
        """How many jobs wait."""

    async def cancel_requests(self, worker: str) -> list[str]:
        """Ids of this worker's running jobs whose end was asked for, in whichever process."""

    async def read_log(self, job_id: str, *, start: int = 0) -> list[LogLine]:
        """A job's log from line number `start` on."""

    async def needed_media(self) -> set[str]:
        """Names of the blobs that unfinished jobs need."""
