"""Jobs as the store keeps them, and the protocol of a store of jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from omnireel.task import Failure, Outcome, Task

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Cancelling = Literal["removed", "requested", "kept", "ended", "unknown"]

# How long an idempotency key names the same job.
IDEMPOTENCY_S = 24 * 3600.0
# The longest wait of a job before it runs again after its worker died.
MAX_BACKOFF_S = 60.0
# So long is a job that has to run alone passed over by workers that run others. Then its next worker takes nothing else
# until it is idle.
MAX_PASSED_OVER_S = 10.0
# How long an answer that must not be kept can be fetched: of a queued job, and of an attached request.
UNKEPT_S, UNKEPT_ATTACHED_S = 3600.0, 60.0
# A position in the queue is exact up to so many jobs of each account. Callers ask for it again and again.
MAX_COUNTED = 1000
# No caller keeps a request open for longer. If a pinned job is still queued then, its server has died.
MAX_PINNED_S = 3600.0


class State(StrEnum):
    """The state of a job: queued → running → one of the others. A running job may be queued again."""

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended. It never changes its state again."""
        return self not in (State.queued, State.running)


@dataclass(frozen=True)
class Submission:
    """A new job to be stored.

    id:               a UUID made by the submitter
    owner:            the account it belongs to; "" if the server asks for no key
    media:            name of the blob with the task's clip; None if the clip is fetched when the job runs
    is_low:           low priority: it waits until no other job does
    pinned_to:        the only worker that may run it, because its caller's request is open there
    keeps_io:         whether task and outcome may be kept after the end
    retries:          how many more attempts it may have after the first one
    start_deadline_s: seconds within which it has to start
    max_queued:       it is refused if more jobs are waiting already. A pinned job takes no room, unless another one of
                      the same idempotency key comes and unpins it; then that is refused
    queue_room:       it is refused if its account would take more of so much room in the queue than it leaves free
    key_id:           the key it was sent with; "" if the server asks for none
    reserved_micro:   most that it can cost, in millionths of a US dollar; used if the key has a cap
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
    queue_room: int | None = None
    idempotency_key: str | None = None
    key_id: str = ""
    reserved_micro: int = 0


@dataclass(frozen=True)
class Job:
    """A job as it was read from the store.

    task:         without content if its owner had it dropped, or if the job has ended and must not be kept
    started_at:   when its last attempt began; None before the first one
    outcome:      None until the job has ended, and after the outcome has been dropped
    num_crashes:  how many workers died while they ran it; one that has any runs alone in its worker
    failure:      why it failed; it stays when the outcome is dropped
    num_tokens:   input and output tokens that were charged; 0 until the job has ended
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
    num_crashes: int
    lease_token: int
    cancel_requested: bool
    outcome: Outcome | None
    failure: Failure | None
    num_tokens: int


@dataclass(frozen=True)
class JobStatus:
    """What is asked again and again about a job. It costs the same however long the task and the outcome are."""

    id: str
    owner: str
    state: State
    started_at: float | None
    finished_at: float | None
    failure: Failure | None
    num_tokens: int


@dataclass(frozen=True)
class LogLine:
    """A line of a job's log, for its owner. number: counts from 0 within the job"""

    number: int
    at: float
    level: Level
    message: str


NewLogLine = tuple[float, Level, str]


@dataclass(frozen=True)
class Claim:
    """A worker's request for jobs.

    worker:   the worker's name
    max_jobs: most jobs that it takes
    """

    worker: str
    max_jobs: int
    lease_s: float


@dataclass(frozen=True)
class LapsedLease:
    """A lease that ran out before it was renewed: its worker died, or could not reach the store for too long.

    has_ended: whether the job ended with it; else it is queued again
    """

    job_id: str
    worker: str
    attempt: int
    has_ended: bool


@dataclass(frozen=True)
class Overdue:
    """What was late, and was dealt with.

    ended:  ids of the jobs that have ended
    lapsed: the leases that ran out
    """

    ended: list[str]
    lapsed: list[LapsedLease]


@dataclass(frozen=True)
class EndPolicy:
    """How the store ends jobs: outcomes, webhooks and prices.

    cancelled, not_started, lost: the outcomes of jobs that the store ends itself
    webhook_body:    makes the body of a webhook from job id, task and outcome
    micro_per_token: price in millionths of a US dollar
    max_crashes:     a job is lost after this many of its workers have died
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


def is_failed_clip(failure: Failure) -> bool:
    """Whether work was done for a clip that cannot be used; one that could not be fetched is not meant."""
    return failure.is_callers and failure.about == "media" and failure.kind != "file_download_error"


class JobStore(Protocol):
    """Jobs, their logs and their leases. `now`: store time, see `Store`. Writes are durable when awaited.

    A job ends once and is charged at most once. Its webhook is stored in the transaction that ends it. A worker whose
    lease ran out has an old lease token, so its writes about the job change nothing.
    Raises CapacityError if the disk is full, StorageError if the store cannot be written.
    """

    async def submit(
        self, submission: Submission, *, fingerprint: str, now: float, claim: Claim | None = None
    ) -> tuple[Job, list[Job]]:
        """Store a new job, or find the one of the same idempotency key. Then `claim`, in the same commit.

        fingerprint: of the request; another one under the same idempotency key is refused

        A job that is found and has not ended is pinned no more: two callers wait for it, so it ends with neither. One
        that ended without an answer, but not by its input, is replaced if it or the new one is pinned: its caller's
        connection ended it, or the server did, and its caller tries again.
        Returns the job, and the jobs that were claimed. Raises CapacityError beyond max_queued or queue_room, or if too
        many of the key's jobs are unfinished, InputError(idempotency_mismatch), DeniedError if the key is revoked or
        the job could exceed its cap.
        """

    async def is_repeated(self, owner: str, idempotency_key: str) -> bool:
        """Whether `submit` would find the job of an attached request, or refuse it, by its idempotency key."""

    async def claim(self, claim: Claim, *, now: float) -> list[Job]:
        """Claim the next jobs for a worker, in order. Fewer than max_jobs means that it can have no more now.

        Jobs of low priority come last. Otherwise the owner with the fewest running jobs comes first; among several,
        the one whose last claim is the oldest.
        A job whose worker died may have been the reason. It runs alone in its next worker, so that it cannot take
        others along: an idle worker claims it alone, and then nothing until it has ended.
        """

    async def renew_leases(
        self, jobs: Sequence[Job], *, worker: str, lease_s: float, clock: Callable[[], float]
    ) -> list[bool | None]:
        """Renew leases. For each job: whether it is to be cancelled, or None if its lease was lost.

        clock: read when the write runs, which may be long after the call: the whole lease begins then
        """

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

        Returns False, and stores only the log, if the worker's lease was lost.
        """

    async def requeue(
        self, job: Job, *, worker: str, after_s: float, counts: bool, log: Sequence[NewLogLine], now: float
    ) -> bool:
        """Put a running job back into the queue. counts: whether the attempt uses up a retry

        Returns False if the worker's lease was lost, if a retry is needed and none is left, or if the job is pinned.
        """

    def append_log(self, job_id: str, lines: Sequence[NewLogLine]) -> None:
        """Add lines to a job's log. Returns before they are stored."""

    async def cancel(
        self, job_id: str, policy: EndPolicy, *, now: float, only_pinned: bool = False
    ) -> Cancelling:
        """End a waiting job, or ask the worker of a running one to end it.

        only_pinned: its caller has left. A job that is not pinned goes on.
        """

    async def end_overdue(
        self, policy: EndPolicy, *, running: Sequence[Job], worker: str, lease_s: float, now: float
    ) -> Overdue:
        """End jobs that missed their start deadline, and requeue jobs whose lease ran out.

        running: the jobs of this worker. Their leases are renewed first if some lease has run out, because the store
                 may have been unwritable for a while, or the machine suspended.
        A lease that ran out counts as a crash of its worker. The job is queued again, to run alone, with a longer wait
        each time. It ends as lost after max_crashes, or when no retry is left.
        """

    async def purge(self, *, before: float) -> None:
        """Delete jobs that ended before a time, with their logs and their finished webhooks. The ledger stays.

        before: in store time
        """

    async def purge_unkept(self, *, now: float) -> None:
        """Drop outcomes that must not be kept, after the time in which their callers can fetch them."""

    async def drop_payloads(
        self, job_id: str, *, owner: str | None
    ) -> Literal["dropped", "running", "unknown"]:
        """Drop the input and the outcome of an ended job, also in webhooks. Its cost stays. owner None: any owner"""

    async def find(self, job_id: str) -> Job | None:
        """The job in its current state; None if there is no such job."""

    async def status(self, job_id: str) -> JobStatus | None:
        """The job's status, read without its task and its outcome; None if there is no such job."""

    async def position(self, job_id: str) -> int:
        """How many waiting jobs will be claimed before it, if no further jobs are submitted.

        Up to MAX_COUNTED jobs of an account are counted, so this is less where there are more.
        """

    async def num_queued(self) -> int:
        """How many jobs wait."""

    async def cancel_requests(self, worker: str) -> list[str]:
        """Ids of this worker's running jobs whose cancellation was requested, in any process."""

    async def read_log(self, job_id: str, *, start: int = 0) -> list[LogLine]:
        """A job's log from line number `start` on."""

    async def needed_media(self) -> set[str]:
        """Names of the blobs that unfinished jobs need."""
