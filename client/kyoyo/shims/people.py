"""Whose jobs they are: oneself by the name that one has on this machine, others by the name in their address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kyoyo.client import Client
from kyoyo.errors import Problem
from kyoyo.models import Fields, JobRecord


@dataclass(slots=True)
class People:
    """Names are asked for once, and only when there are jobs of others."""

    client: Client
    me: str
    _mine: str | None = None
    _others: Mapping[str, str] | None = field(default=None)

    def name_of(self, record: JobRecord) -> str:
        """The user name to show."""
        person = str(record.raw.get("person_id") or "")
        if not person or person == self._my_id():
            return self.me
        if self._others is None:
            self._others = self._ask()
        return self._others.get(person) or person[:8]

    def is_mine(self, record: JobRecord) -> bool:
        """Whether I submitted it."""
        person = record.raw.get("person_id")
        return person is None or person == self._my_id()

    def of(self, records: Iterable[JobRecord], names: Iterable[str]) -> list[JobRecord]:
        """The jobs of these users."""
        wanted = set(names)
        return [record for record in records if self.name_of(record) in wanted]

    def _my_id(self) -> str:
        if self._mine is None:
            self._mine = str(self.client.me().get("person_id") or "")
        return self._mine

    def _ask(self) -> Mapping[str, str]:
        try:
            members = self.client.members()
        except Problem:
            return {}
        return {
            Fields(each).text("person_id", ""): Fields(each).text("email", "").partition("@")[0] for each in members
        }
