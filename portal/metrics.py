"""Figures for Prometheus: of the portal as a whole, never of a person or an organisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hpc_adapters.contract import Health

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    """One registry per application, so that two in one process do not count into each other."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    requests: Counter = field(init=False)
    request_s: Histogram = field(init=False)
    refusals: Counter = field(init=False)
    jobs: Gauge = field(init=False)
    backend_up: Gauge = field(init=False)
    backend_skew: Gauge = field(init=False)
    backend_backlog: Gauge = field(init=False)
    streams: Gauge = field(init=False)

    def __post_init__(self) -> None:
        def put(name: str, metric: object) -> None:
            object.__setattr__(self, name, metric)

        home = self.registry
        put(
            "requests",
            Counter("kyoyo_requests", "Answered requests.", ["method", "route", "status"], registry=home),
        )
        put(
            "request_s",
            Histogram("kyoyo_request_seconds", "Time to the answer's end.", ["route"], buckets=_BUCKETS, registry=home),
        )
        put("refusals", Counter("kyoyo_refusals", "Named refusals.", ["code"], registry=home))
        put("jobs", Gauge("kyoyo_jobs", "Live jobs by state.", ["state"], registry=home))
        put("backend_up", Gauge("kyoyo_backend_up", "1 when a backend can do its work.", ["backend"], registry=home))
        skew = "A backend's clock minus ours."
        put("backend_skew", Gauge("kyoyo_backend_clock_skew_seconds", skew, ["backend"], registry=home))
        backlog = "Records that a backend has still to bring to its accounting."
        put("backend_backlog", Gauge("kyoyo_backend_accounting_backlog", backlog, ["backend"], registry=home))
        put("streams", Gauge("kyoyo_live_streams", "Open live connections.", registry=home))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def set_backend(self, name: str, health: Health) -> None:
        """What a backend tells of itself; what it does not tell is not shown."""
        self.backend_up.labels(name).set(int(health.ok))
        for gauge, value in (
            (self.backend_skew, health.clock_skew_s),
            (self.backend_backlog, health.accounting_backlog),
        ):
            if value is None:
                gauge.remove(name)
            else:
                gauge.labels(name).set(value)

    def set_jobs(self, by_state: Mapping[str, int]) -> None:
        """Replaces all job counts."""
        self.jobs.clear()
        for state, count in by_state.items():
            self.jobs.labels(state).set(count)
