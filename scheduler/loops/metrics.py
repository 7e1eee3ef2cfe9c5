"""What an alarm may stand on."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ITEM_FAILURES = Counter(
    "kyoyo_scheduler_item_failures", "Items that a tick could not carry out, by loop: a fault of ours.", ["loop"]
)
UNAVAILABLE = Counter(
    "kyoyo_scheduler_backend_unavailable", "Calls that a backend did not answer.", ["backend", "call", "maybe_done"]
)
UNREADABLE = Counter("kyoyo_scheduler_unreadable_answers", "Foreign states that we do not know.", ["backend"])
NOT_NOW = Counter("kyoyo_scheduler_not_now", "Attempts of which nothing could be told.", ["backend", "what"])
STRAYS = Counter("kyoyo_scheduler_strays", "Attempts that a backend had and we held ended.", ["backend"])
PREEMPTIONS = Counter(
    "kyoyo_scheduler_preemptions", "Running attempts that were asked to make room, by whose class.", ["backend", "by"]
)
PLACED = Counter(
    "kyoyo_scheduler_placed_anew", "Waiting attempts that went to another machine, by the rule.", ["backend", "rule"]
)
TRANSITIONS = Counter("kyoyo_scheduler_transitions", "Attempts that came into a state.", ["backend", "state"])
STAGED_BYTES = Counter("kyoyo_scheduler_staged_bytes", "Bytes of input and output files moved.", ["direction"])
FORGOTTEN = Counter("kyoyo_scheduler_forgotten_attempts", "Ended attempts whose folders were removed.", ["backend"])
FREED_BYTES = Counter("kyoyo_scheduler_freed_bytes", "Bytes of the files in them.", ["backend"])
BOOK_DIFFERENCES = Counter(
    "kyoyo_scheduler_book_differences", "Attempts of which the dispatcher's book said otherwise than the database."
)
WAITING = Gauge("kyoyo_scheduler_waiting", "Waiting attempts by the reason of the last plan.", ["reason"])
WAITING_BY_CLASS = Gauge("kyoyo_scheduler_waiting_by_class", "Attempts in our queue, for whatever reason.", ["class"])
CYCLE = Histogram(
    "kyoyo_scheduler_cycle_seconds",
    "One cycle: what changed is read, who starts is decided, the reasons of the others are written.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HELD = Gauge("kyoyo_scheduler_held_nu_per_hour", "What all organisations hold, over all machines.")
CAPACITY = Gauge("kyoyo_scheduler_capacity_nu_per_hour", "What there is of all machines.")
BORROWED = Gauge("kyoyo_scheduler_borrowed_nu_per_hour", "What organisations hold beyond their nominal shares.")
SHARE_ERROR = Gauge(
    "kyoyo_scheduler_share_error",
    "The furthest that any organisation is from its entitlement now: |held - entitled| / capacity.",
)
