"""The SDK: one object per portal and token."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx2

from kyoyo import settings
from kyoyo.data import Data
from kyoyo.errors import NotFound, Problem, UsageError
from kyoyo.jobs import Job
from kyoyo.launches import spec_of_training
from kyoyo.models import Estimate, Fields, JobPage, JobRecord, Json, Offering
from kyoyo.proposals import Proposals
from kyoyo.quantum.devices import Device, device_of_offering
from kyoyo.quantum.errors import UnknownBackend
from kyoyo.reservations import Reservations
from kyoyo.script import directives_of, walltime_s
from kyoyo.script.options import TAKES, Given, Takes
from kyoyo.spec import QUANTUM, Choices, JobSpec, spec_of_circuit, spec_of_command, spec_of_script
from kyoyo.texts import language_of
from kyoyo.transport import Pace, Transport, new_key
from kyoyo.wallet import Wallet

_CHOICES = frozenset(each.name for each in fields(Choices))


def utc_now() -> datetime:
    """The present instant, for what begins "now+1hour"."""
    return datetime.now(UTC)  # noqa: TID251  the edge


class Client:
    """Talks to one portal as one person in one organisation. Use it as a context manager, or close() it."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        language: str | None = None,
        environment: Mapping[str, str] = os.environ,
        pace: Pace | None = None,
        make_key: Callable[[], str] = new_key,
        http: httpx2.BaseTransport | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        login = settings.resolve(url=url, token=token, environment=environment)
        self.url = login.url
        self.language = language or language_of(environment)
        self._environment = environment
        self._now = now
        self._http = http
        self._transport = Transport(
            url=login.url,
            token=login.token,
            language=self.language,
            pace=pace,
            make_key=make_key,
            http=http,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections. Jobs go on."""
        self._transport.close()

    @property
    def data(self) -> Data:
        """The organisation's files."""
        return Data(self._transport, home=self.url, http=self._http)

    @property
    def wallet(self) -> Wallet:
        """What becomes of the wallet, and limits on spending."""
        return Wallet(self._transport)

    @property
    def proposals(self) -> Proposals:
        """What two operators decide together, and the public history of prices."""
        return Proposals(self._transport)

    @property
    def reservations(self) -> Reservations:
        """The organisation's advance reservations."""
        return Reservations(self._transport)

    # -- what can be had, and for how much --------------------------------------------------------------------------

    def me(self) -> Json:
        """Who the token acts for."""
        return Fields(self._transport.get("/me")).told

    def members(self) -> Sequence[Json]:
        """Who belongs to the organisation."""
        return Fields(self._transport.get("/members")).items(lambda each: Fields(each).told)

    def offerings(self) -> Sequence[Offering]:
        """What can be bought, with the prices for this organisation."""
        return Fields(self._transport.get("/offerings")).items(Offering.of)

    def devices(self) -> Sequence[Device]:
        """The quantum devices that this organisation can use, as they are now."""
        told: Sequence[Device] = ()
        with suppress(NotFound):  # a portal from before it knew devices
            told = Fields(self._transport.get("/devices")).items(Device.of)
        return told or [device_of_offering(each) for each in self.offerings() if each.kind == QUANTUM]

    def device(self, name: str) -> Device:
        """One device with its calibration, by its name or that of an offering. UnknownBackend."""
        devices = self.devices()
        for device in devices:
            if device.called(name):
                return self._in_full(device).called(name) or device
        raise self._unknown(name, devices)

    def estimate(self, spec: JobSpec, *, max_cost_yen: Decimal | int | None = None) -> Estimate:
        """What it would cost at most and probably. Nothing is kept.

        Of a circuit also whether its device would run it: Refused('refused-by-device'). `max_cost_yen` as of `submit`.
        """
        return Estimate.of(self._post("/estimates", self._limited(self._complete(spec), max_cost_yen)))

    # -- jobs -------------------------------------------------------------------------------------------------------

    def submit(
        self,
        script: str | Path | JobSpec | None = None,
        *,
        command: Sequence[str] | None = None,
        time: str | int | None = None,
        max_cost_yen: Decimal | int | None = None,
        key: str | None = None,
        **choices: object,
    ) -> Job:
        """Submit a script file, a command or a ready spec; see Choices for what else may be said.

        Any option of sbatch may be said by its name, in its own words: `array="1-100%10"`, `dependency="afterok:12"`,
        `mem="16G"`, `gpus_per_node=4`. An array answers with its first task; Job.tasks() has them all.

        `time`: a limit such as "4h" or "1-12:00:00", or seconds. `max_cost_yen`: the most that you
        will pay, with tax, for all of it: a circuit is stopped before, and the portal refuses anything else whose
        ceiling with tax lies above it. It never raises what is held. Where a QPU is named, its device's name will do,
        too (UnknownBackend has the list). `key`: an Idempotency-Key of your own, so that a repeated call (even from
        another process) is the same job. BadScript, UsageError, Refused, Conflict, Unauthorised, Unavailable.
        """
        spec = self._complete(script if isinstance(script, JobSpec) else _spec(script, command, time, choices))
        spec = self._limited(spec, max_cost_yen)
        return Job(self._transport, JobRecord.of(self._post("/jobs", spec, key=key)))

    def train(
        self,
        entry: str | Path,
        *,
        nodes: int = 1,
        gpus_per_node: int | str = 1,
        processes_per_node: int | None = None,
        time: str | int | None = None,
        max_cost_yen: Decimal | int | None = None,
        key: str | None = None,
        **choices: object,
    ) -> Job:
        """Start a Python program under torchrun on so many nodes; see `submit` for the rest, and `kyoyo.training`.

        It is warned by SIGUSR1 two minutes before its walltime ends, and continued after preemptions (three attempts),
        unless `signal` or `max_attempts` say otherwise. `max_timeouts`: how many time-outs are continued, too.
        """
        said = {**choices, "nodes": nodes, "gpus_per_node": gpus_per_node}
        spec = spec_of_training(Path(entry), _choices(time, said), processes_per_node=processes_per_node)
        return self.submit(spec, max_cost_yen=max_cost_yen, key=key)

    def submit_circuit(
        self, path: str | Path, *, shots: int, device: str | None = None, name: str | None = None
    ) -> Job:
        """Submit a file with one circuit, OpenQASM or QPY; `device`: its name, or a quantum offering's.

        The portal is asked for an estimate first, so that what the device would not run is Refused('refused-by-device')
        and no job. BadScript, UnknownBackend.
        """
        spec = self._complete(spec_of_circuit(Path(path), shots=shots, choices=Choices(name=name, offering=device)))
        self.estimate(spec)
        return self.submit(spec)

    def job(self, job: str | int) -> Job:
        """A handle on a job by its number, its id, or N_k for task k of array N. NotFound."""
        return Job(self._transport, JobRecord.of(self._transport.get(f"/jobs/{_segment(str(job))}")))

    def handle(self, record: JobRecord) -> Job:
        """The same of a job that was told already."""
        return Job(self._transport, record)

    def jobs(
        self, *, state: str | None = None, array: int | None = None, limit: int = 50, cursor: str | None = None
    ) -> JobPage:
        """One page of the organisation's jobs, newest first; `array`: only the tasks of that array."""
        return JobPage.of(self._transport.get("/jobs", state=state, array=array, limit=limit, cursor=cursor))

    def cancel_array(self, number: int) -> Json:
        """Wish all tasks of an array to end. NotFound."""
        return Fields(self._transport.post(f"/arrays/{number}/cancel")).told

    def all_jobs(self, *, state: str | None = None, array: int | None = None) -> Iterator[JobRecord]:
        """Every job, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.jobs(state=state, array=array, limit=200, cursor=cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    # -- money ------------------------------------------------------------------------------------------------------

    def balance(self) -> Json:
        """The wallet now, as the API tells it: amounts are decimal strings in yen."""
        return Fields(self._transport.get("/balance")).told

    def statement(self, month: str) -> Json:
        """Everything that moved in a month (YYYY-MM)."""
        return Fields(self._transport.get("/statement", month=month)).told

    def usage(self, month: str) -> Json:
        """What ran in a month."""
        return Fields(self._transport.get("/usage", month=month)).told

    def invoice(self, month: str) -> Json:
        """The draft invoice of a month."""
        return Fields(self._transport.get(f"/invoices/{_segment(month)}")).told

    def documents(self, **wanted: object) -> Json:
        """Invoices, credit notes and receipts, the newest first; `next`, if there is more, is `after` of the next page.

        wanted: since, until (days of issue), least_yen, most_yen (totals), counterparty (part of a name), kind, after.
        """
        return Fields(self._transport.get("/documents", **wanted)).told

    def document(self, number: str) -> Json:
        """One document with all that its paper shows. NotFound."""
        return Fields(self._transport.get(f"/documents/{_segment(number)}")).told

    def documents_csv(self, **wanted: object) -> str:
        """All documents as CSV."""
        return self._transport.get_text("/documents.csv", **wanted)

    def document_lines_csv(self, number: str) -> str:
        """The rated lines behind a document as CSV. NotFound."""
        return self._transport.get_text(f"/documents/{_segment(number)}/lines.csv")

    def document_pdf(self, number: str) -> bytes:
        """The paper of a document (PDF/A). NotFound; Conflict: none can be made of it."""
        return self._transport.get_bytes(f"/documents/{_segment(number)}/paper.pdf")

    def kpi(self, period: str) -> Json:
        """Figures of a period (YYYY-MM, YYYY-Qn, FYyyyy); for program officers."""
        return Fields(self._transport.get("/kpi", period=period)).told

    # -- shares -----------------------------------------------------------------------------------------------------

    def exchange_rates(self) -> Json:
        """What one unit of each resource counts in the fair share, in every version."""
        return Fields(self._transport.get("/exchange-rates")).told

    def shares(self) -> Json:
        """The organisation's part of the share tree: weights, limits, use; and every change of it."""
        return Fields(self._transport.get("/shares")).told

    # -- secrets ----------------------------------------------------------------------------------------------------

    def secrets(self) -> Sequence[Json]:
        """One's own secrets: their names and since when. Nobody can read a value back."""
        return Fields(self._transport.get("/secrets")).items(lambda each: Fields(each).told)

    def set_secret(self, name: str, value: str) -> Json:
        """Keep a secret, in place of the one with this name. A job that names it has it in its environment."""
        return Fields(self._transport.put(f"/secrets/{_segment(name)}", {"value": value})).told

    def remove_secret(self, name: str) -> None:
        """Forget a secret for good. NotFound."""
        self._transport.delete(f"/secrets/{_segment(name)}")

    # -- inside -----------------------------------------------------------------------------------------------------

    def _complete(self, asked: JobSpec) -> JobSpec:
        return asked.settled(self._now(), self._environment).offered(self._only_offering)

    @staticmethod
    def _limited(spec: JobSpec, max_cost_yen: Decimal | int | None) -> JobSpec:
        return spec if max_cost_yen is None else replace(spec, max_cost=Decimal(max_cost_yen))

    def _post(self, path: str, spec: JobSpec, *, key: str | None = None) -> object:
        """As it is said; where the portal knows no such offering, with those of the devices that are so called."""
        try:
            return self._transport.post(path, spec.to_json(), key=key)
        except Problem as refused:
            if refused.code != "unknown-offering":
                raise
            found = spec.on_devices(self._offering_of)
            if found == spec:
                raise
        return self._transport.post(path, found.to_json(), key=key)

    def _offering_of(self, name: str) -> str:
        devices = self.devices()
        found = next((called for device in devices if (called := device.called(name))), None)
        if found is None:
            raise self._unknown(name, devices)
        return found.offering

    def _unknown(self, name: str, devices: Sequence[Device]) -> UnknownBackend:
        known = ", ".join(sorted(device.names for device in devices)) or "-"
        return UnknownBackend(language=self.language, name=name, known=known)

    def _only_offering(self, kind: str) -> str:
        fitting = [offering.id for offering in self.offerings() if offering.kind == kind]
        if len(fitting) != 1:
            raise UsageError(key="wrong.offering", fitting=", ".join(sorted(fitting)) or "-")
        return fitting[0]

    def _in_full(self, device: Device) -> Device:
        try:
            return Device.of(self._transport.get(f"/devices/{quote(device.name, safe='')}"))
        except NotFound:
            return device


def _spec(
    script: str | Path | None, command: Sequence[str] | None, time: str | int | None, said: Mapping[str, object]
) -> JobSpec:
    choices = _choices(time, said)
    if (script is None) == (command is None):
        raise UsageError(key="wrong.script_or_command")
    return spec_of_command(command, choices) if command is not None else spec_of_script(Path(str(script)), choices)


def _choices(time: str | int | None, said: Mapping[str, object]) -> Choices:
    limit = walltime_s(time) if isinstance(time, str) else time
    plain = {name: value for name, value in said.items() if name in _CHOICES}
    asked = directives_of(_option(name, value) for name, value in said.items() if name not in _CHOICES)
    return Choices(walltime_s=limit, asked=asked, **plain)  # type: ignore[arg-type]  # by their names


def _option(name: str, value: object) -> Given:
    """A keyword as sbatch's option of that name; a flag is said by True."""
    option = name.replace("_", "-")
    takes = TAKES.get(option)
    if takes is None or (takes is Takes.NOTHING and value is not True):
        raise UsageError(key="wrong.unknown_option", option=name)
    return Given(option, None if value is True else str(value))


def _segment(text: str) -> str:
    """A word that may stand in a path: nothing that could lead elsewhere."""
    if not text or not all(letter.isalnum() or letter in "-_" for letter in text):
        raise UsageError(key="wrong.id", text=repr(text))
    return text
