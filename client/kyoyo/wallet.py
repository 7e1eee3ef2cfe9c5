"""What becomes of an organisation's wallet, and what it lets its projects and members spend."""

from __future__ import annotations

from kyoyo.models import Fields, Json
from kyoyo.transport import Transport


class Wallet:
    """Amounts are decimal strings in yen; limits count without tax, before grants."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def outlook(self) -> Json:
        """How fast it empties, the day on which it will be empty, what will lapse unused."""
        return Fields(self._transport.get("/outlook")).told

    def notices(self) -> Json:
        """What the organisation was told about its value, the newest first."""
        return Fields(self._transport.get("/notices")).told

    def budgets(self) -> Json:
        """The limits in force, and what of each is gone."""
        return Fields(self._transport.get("/budgets")).told

    def set_budget(
        self,
        limit_yen: int | None,
        *,
        reason: str,
        project: str | None = None,
        person_id: str | None = None,
        period: str = "month",
        dry_run: bool = False,
        key: str | None = None,
    ) -> Json:
        """Put a limit in force, or lift it (None). period: month, fiscal_year, forever. NotFound, Refused."""
        body = {
            "limit_yen": limit_yen,
            "reason": reason,
            "project": project,
            "person_id": person_id,
            "period": period,
        }
        path = "/budgets?dry_run=true" if dry_run else "/budgets"
        return Fields(self._transport.post(path, body, key=key)).told
