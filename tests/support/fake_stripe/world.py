"""What the fake remembers: objects, idempotency keys, events. No sockets, no clock of its own, no chance."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JPY = "jpy"
MINIMUM_CHARGE_YEN = 50
SEARCH_LAG_S = 60
"""A new object is found by search only after about a minute."""

Thing = dict[str, Any]


class Refused(Exception):
    """Stripe's error answer."""

    def __init__(self, message: str, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def body(self) -> Thing:
        kinds = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error"}
        kind = "idempotency_error" if self.code == "idempotency" else kinds.get(self.status, "api_error")
        return {"error": {"type": kind, "code": self.code, "message": str(self)}}


@dataclass(slots=True)
class World:
    """now_s: seconds since 1970, moved by the test alone."""

    now_s: int
    api_version: str
    things: dict[str, Thing] = field(default_factory=dict)
    events: list[Thing] = field(default_factory=list)
    answers: dict[str, tuple[str, Thing]] = field(default_factory=dict)
    requests: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Every request that was carried out or refused: method, path, parameters."""
    _last: int = 0

    def add(self, prefix: str, kind: str, **facts: Any) -> Thing:
        """A new object with the next id."""
        self._last += 1
        made = {
            "id": f"{prefix}_{self._last:06}",
            "object": kind,
            "created": self.now_s,
            "livemode": False,
            "metadata": {},
            **facts,
        }
        self.things[made["id"]] = made
        return made

    def get(self, kind: str, identity: str) -> Thing:
        found = self.things.get(identity)
        if found is None or found["object"] != kind:
            raise Refused(f"No such {kind}: '{identity}'", status=404, code="resource_missing")
        return found

    def all(self, kind: str, *, where: Callable[[Thing], bool] = lambda _: True) -> list[Thing]:
        """Newest first, as Stripe lists."""
        return [each for each in reversed(self.things.values()) if each["object"] == kind and where(each)]

    def tell(self, kind: str, thing: Thing) -> None:
        """An event with the object as it is now."""
        self._last += 1
        self.events.append(
            {
                "id": f"evt_{self._last:06}",
                "object": "event",
                "api_version": self.api_version,
                "created": self.now_s,
                "livemode": False,
                "pending_webhooks": 1,
                "request": None,
                "type": kind,
                "data": {"object": copy.deepcopy(thing)},
            }
        )

    def page(self, found: list[Thing], params: Mapping[str, Any], url: str) -> Thing:
        """A page of a list, newest first. created: as Stripe filters it."""
        bounds = params.get("created", {})
        bounds = {"gte": bounds, "lte": bounds} if isinstance(bounds, int) else bounds
        found = [each for each in found if _within(each["created"], bounds)]
        after = params.get("starting_after")
        if after is not None:
            ids = [each["id"] for each in found]
            found = found[ids.index(after) + 1 :]
        limit = int(params.get("limit", 10))
        return {"object": "list", "url": url, "has_more": len(found) > limit, "data": found[:limit]}

    def once(self, key: str | None, said: str, do: Callable[[], Thing]) -> Thing:
        """The first answer to an Idempotency-Key is the answer for ever. Refused: the key came with another body."""
        if key is None:
            return do()
        known = self.answers.get(key)
        if known is None:
            done = do()
            self.answers[key] = (said, json.loads(json.dumps(done, default=float)))
            return done
        if known[0] != said:
            raise Refused(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
                code="idempotency",
            )
        return copy.deepcopy(known[1])


def _within(value: int, bounds: Mapping[str, int]) -> bool:
    return all(
        {"gt": value > at, "gte": value >= at, "lt": value < at, "lte": value <= at}[word]
        for word, at in bounds.items()
    )
