"""What is shown of a machine: what it tells of itself, and nothing in its place."""

from __future__ import annotations

from datetime import UTC, datetime

from hpc_adapters.contract import Health
from portal.metrics import Metrics

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def test_skew_and_backlog_are_shown_while_a_machine_tells_them() -> None:
    metrics = Metrics()
    metrics.set_backend("site", Health(ok=True, checked_at=NOW, clock_skew_s=-1.5, accounting_backlog=12))
    metrics.set_backend("aer-7", Health(ok=True, checked_at=NOW))
    text = metrics.text().decode()
    assert 'kyoyo_backend_up{backend="site"} 1.0' in text
    assert 'kyoyo_backend_clock_skew_seconds{backend="site"} -1.5' in text
    assert 'kyoyo_backend_accounting_backlog{backend="site"} 12.0' in text
    assert 'skew_seconds{backend="aer-7"}' not in text

    metrics.set_backend("site", Health(ok=False, checked_at=NOW, detail="no-answer"))
    text = metrics.text().decode()
    assert 'kyoyo_backend_up{backend="site"} 0.0' in text
    assert "skew_seconds{" not in text
    assert "backlog{" not in text
