"""A history of production, recorded and told again: another book decides the very same."""

from __future__ import annotations

import json
import random  # noqa: TID251  one seeded instance

import pytest

from pricing.model import ServiceClass
from scheduler.core.snapshot import Limits
from tests.support.recording import Recorded, replayed
from tests.support.site_checks import Machine
from tests.support.sites import Hand, Site, Wish, branch_of


def a_wish(chance: random.Random) -> Wish:
    limit_s = chance.choice([120, 600, 1_800])
    return Wish(
        organisation=chance.choice([1, 1, 2, 3]),
        person=chance.randint(1, 5),
        backend=chance.choice(["m", "m", "n"]),
        gpus=chance.choice([1, 1, 2, 4, 8]),
        limit_s=limit_s,
        run_s=chance.choice([30, limit_s // 2, limit_s, limit_s + 60]),
        service_class=chance.choice([*[ServiceClass.STANDARD] * 4, ServiceClass.SPOT, ServiceClass.INTERACTIVE]),
        begin_in_s=chance.choice([0, 0, 0, 300]),
    )


def lived(site: Site, chance: random.Random) -> None:
    """One minute."""
    for _ in range(chance.choice([0, 2, 5, 9])):
        site.submit(a_wish(chance))
    if chance.random() < 0.02:
        site.machines["n"].online = not site.machines["n"].online
    if chance.random() < 0.02:
        site.weights[1] = chance.choice([1, 3])
        site.limits[branch_of(2, 1), None] = Limits(max_gpus=chance.choice([4, 16]), max_month_micro_nu=40_000_000)
        site.agree()
    if chance.random() < 0.05:
        site.book_time(backend="m", size=8, in_s=900, for_s=600)
    for attempt_id in [each for each, held in site.holding.items() if not held.accepted]:
        site.confirm(attempt_id)
    site.decide(lambda _: chance.choice([*[Hand.OVER] * 12, *Hand]))
    site.wait(60)


@pytest.fixture(scope="module")
def history() -> list[str]:
    chance = random.Random(5)
    site = Site({"m": Machine(144), "n": Machine(48)}, organisations=(1, 2, 3), opening=Recorded, explained=20)
    while len(site.done) < 2_000:
        lived(site, chance)
    assert isinstance(site.book, Recorded)
    return site.book.lines


def test_a_recorded_history_of_two_thousand_starts_is_decided_alike(history: list[str]) -> None:
    assert replayed(history) >= 2_000


def test_one_fact_that_is_other_than_recorded_is_noticed(history: list[str]) -> None:
    """What is compared is all of a decision."""
    at = next(number for number, line in enumerate(history) if '"Start"' in line)
    what, told, answer = json.loads(history[at])
    other = json.dumps([what, told, json.loads(json.dumps(answer).replace('"in_order"', '"behind"'))])
    with pytest.raises(AssertionError):
        replayed([*history[:at], other])
