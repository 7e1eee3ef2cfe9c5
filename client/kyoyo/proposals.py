"""What two operators decide together, and the public history of prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from kyoyo.models import Fields, Json
from kyoyo.transport import Transport


class Proposals:
    """One operator makes a proposal, another one approves or rejects it: done is what a second person wants, too."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, undecided: bool = False) -> Sequence[Json]:
        """The latest, the newest first; `undecided`: only those about which nobody has decided."""
        return _items(self._transport.get("/proposals", undecided="true" if undecided else None))

    def get(self, proposal_id: str) -> Json:
        """One, with what it says (`content`), what it would do (`effect`) and what was decided. NotFound."""
        return Fields(self._transport.get(f"/proposals/{quote(proposal_id, safe='')}")).told

    def make(self, what: str, told: Mapping[str, object], *, dry_run: bool = False, key: str | None = None) -> Json:
        """Propose something: `what` is `prices`, `promotions`, `policies/NAME`, or another path that takes proposals.

        `key`: the same for the same proposal, so that sending it again makes no second one.
        """
        path = f"/{quote(what, safe='/')}/proposals{_query(dry_run)}"
        return Fields(self._transport.post(path, dict(told), key=key)).told

    def approve(self, proposal_id: str, *, reason: str = "", dry_run: bool = False) -> Json:
        """Do what is proposed. Refused to its author. NotFound, Conflict."""
        path = f"/proposals/{quote(proposal_id, safe='')}/approve{_query(dry_run)}"
        return Fields(self._transport.post(path, {"reason": reason})).told

    def reject(self, proposal_id: str, *, reason: str) -> Json:
        """It will not be done. Refused to its author. NotFound, Conflict."""
        return Fields(self._transport.post(f"/proposals/{quote(proposal_id, safe='')}/reject", {"reason": reason})).told

    def price_history(self, offering: str | None = None) -> Sequence[Json]:
        """Every price that was ever published, of one offering or of all, beside list price and market reference."""
        return _items(self._transport.get("/prices/history", offering=offering))


def _query(dry_run: bool) -> str:  # noqa: FBT001  what the wire calls it
    return "?dry_run=true" if dry_run else ""


def _items(told: object) -> Sequence[Json]:
    return Fields(told).items(lambda each: Fields(each).told)
