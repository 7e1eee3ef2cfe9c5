"""A handle on one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kyoyo.errors import NotFound, Unavailable
from kyoyo.follow import PATIENCE_S, LogReader
from kyoyo.models import Cost, Fields, JobPage, JobRecord, Json
from kyoyo.transport import Transport

FIRST_POLL_S = 0.25
SLOWEST_POLL_S = 3.0
NOT_STARTED = frozenset({"QUEUED", "DISPATCHING"})


class Job:
    """One job: `record` is what was last heard of it, `refresh()` asks again."""

    def __init__(self, transport: Transport, record: JobRecord) -> None:
        self._transport = transport
        self.record = record

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, name={self.record.name!r}, state={self.state!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def number(self) -> int | None:
        """Its number in the organisation, as Slurm's tools know jobs; None of a portal that gives none."""
        return self.record.number

    @property
    def state(self) -> str:
        """State of its newest attempt, as last heard."""
        return self.record.state

    @property
    def cost(self) -> Cost:
        """Promised, held and charged, as of now."""
        record = self.refresh()
        return Cost(quote_yen=record.quote_yen, held_yen=record.held_yen, charge_yen=record.charge_yen)

    def calls(self) -> Iterator[Json]:
        """Every call that it has made to its QPU, newest first, page by page; each as the API tells it."""
        cursor: str | None = None
        while True:
            told = self._transport.get(f"/jobs/{self.id}/calls", limit=200, cursor=cursor)
            page = Fields(told)
            yield from page.items(lambda each: Fields(each).told)
            cursor = page.text("next_cursor", "") or None
            if cursor is None:
                return

    def tasks(self) -> Sequence[Job]:
        """All tasks of the array that it belongs to, by their index; of a job by itself: the job."""
        if self.record.array is None:
            return [self]
        records: list[JobRecord] = []
        cursor: str | None = None
        while True:
            told = self._transport.get("/jobs", array=self.record.array.number, limit=200, cursor=cursor)
            page = JobPage.of(told)
            records += page.items
            if (cursor := page.next_cursor) is None:
                break
        return [Job(self._transport, record) for record in sorted(records, key=_index)]

    def refresh(self) -> JobRecord:
        """Ask the portal."""
        self.record = JobRecord.of(self._transport.get(f"/jobs/{self.id}"))
        return self.record

    def wait(
        self, on_change: Callable[[JobRecord], None] | None = None, *, timeout_s: float | None = None
    ) -> JobRecord:
        """Wait until it has ended. `on_change` hears every new state or reason to wait, the first one included."""
        return self._wait_for(lambda record: record.ended, on_change, timeout_s)

    def wait_settled(self, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until it has ended and its charge is final: nothing is held for it any more."""
        return self._wait_for(_is_settled, None, timeout_s)

    def wait_started(
        self, on_change: Callable[[JobRecord], None] | None = None, *, timeout_s: float | None = None
    ) -> JobRecord:
        """Wait until there may be output: it runs, or it has ended."""
        return self._wait_for(lambda record: record.state not in NOT_STARTED, on_change, timeout_s)

    def logs(self, *, follow: bool = False, stream: str = "stdout", offset: int = 0) -> Iterator[str]:
        """Its output from a byte offset; with `follow` until it ends."""
        reader = self.reader(stream=stream, offset=offset)
        return reader.follow() if follow else reader.rest()

    def reader(self, *, stream: str = "stdout", offset: int = 0) -> LogReader:
        """The same as an object that also knows where it is, and whether the stream was cut at its size limit."""
        return LogReader(self._transport, self.id, stream=stream, offset=offset)

    def cancel(self) -> JobRecord:
        """Wish it to end. It is charged until the backend confirms the end."""
        self.record = JobRecord.of(self._transport.post(f"/jobs/{self.id}/cancel"))
        return self.record

    def result(self) -> object:
        """The JSON that it left, or None. While it runs: NotFound or None."""
        try:
            return self._transport.get(f"/jobs/{self.id}/result")
        except NotFound as none:
            if none.code == "no-result":
                return None
            raise

    def _wait_for(
        self,
        done: Callable[[JobRecord], bool],
        on_change: Callable[[JobRecord], None] | None,
        timeout_s: float | None,
    ) -> JobRecord:
        pace = self._transport.pace
        started_at = pace.monotonic()
        pause_s, told = FIRST_POLL_S, ("", "")
        while True:
            record = self._refresh_patiently()
            if (news := (record.state, record.waiting)) != told:
                told, pause_s = news, FIRST_POLL_S
                if on_change:
                    on_change(record)
            if done(record):
                return record
            if timeout_s is not None and pace.monotonic() - started_at > timeout_s:
                raise TimeoutError(f"job {self.id} is {self.state} after {timeout_s:g} s")
            pace.sleep(pause_s)
            pause_s = min(pause_s * 1.3, SLOWEST_POLL_S)

    def _refresh_patiently(self) -> JobRecord:
        pace = self._transport.pace
        asked_at = pace.monotonic()
        while True:
            try:
                return self.refresh()
            except Unavailable:
                if pace.monotonic() - asked_at > PATIENCE_S:
                    raise
            pace.sleep(SLOWEST_POLL_S)


def _index(record: JobRecord) -> int:
    return record.array.index if record.array else 0


def _is_settled(record: JobRecord) -> bool:
    return record.ended and record.charge_yen is not None and not record.held_yen
