"""Windows of devices: nothing starts that could still run when the device goes offline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from hpc_adapters.devices import DeviceState, OfflineWindow
from scheduler.core.cycle import plan
from scheduler.core.explain import why_it_waits
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Plan, Pool, Snapshot, Standing, Waiting
from scheduler.core.windows import in_the_way, next_window

NOW = datetime(2026, 4, 1, tzinfo=UTC)
ORGANISATION = UUID(int=1)
QPU = Resources(qpus=1)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def window(since: float, until: float, kind: DeviceState = DeviceState.CALIBRATING) -> OfflineWindow:
    return OfflineWindow(at(since), at(until), kind)


def decided(walltimes_s: list[int], *windows: OfflineWindow, **known: object) -> Plan:
    pool = Pool(name="qpu", total=Resources(qpus=3), free=Resources(qpus=3), windows=windows, **known)  # type: ignore[arg-type]
    waiting = [
        Waiting(
            attempt_id=UUID(int=100 + number),
            organisation_id=ORGANISATION,
            backend="qpu",
            needs=QPU,
            walltime_s=walltime_s,
            micro_nu=1,
            submitted_at=NOW,
        )
        for number, walltime_s in enumerate(walltimes_s)
    ]
    standings = {ORGANISATION: Standing(organisation_id=ORGANISATION)}
    return plan(Snapshot(now=NOW, pools={"qpu": pool}, waiting=waiting, standings=standings))


def test_a_job_that_ends_before_the_window_starts_and_a_longer_one_waits_for_its_end() -> None:
    found = decided([600, 601], window(10, 40))
    assert [start.attempt_id.int for start in found.starts] == [100]
    (wait,) = found.waits
    assert wait.why is Why.DEVICE_WINDOW
    assert wait.facts == {
        "backend": "qpu",
        "since": at(10).isoformat(),
        "until": at(40).isoformat(),
        "kind": "calibrating",
    }


def test_what_is_over_and_what_begins_when_the_job_has_ended_are_in_nobodys_way() -> None:
    assert decided([600], window(-60, 0), window(10, 20)).waits == ()


def test_a_window_that_is_on_is_the_reason_and_not_that_the_device_is_offline() -> None:
    (wait,) = decided([60], window(-5, 5, DeviceState.MAINTENANCE), online=False, condition="maintenance").waits
    assert (wait.why, wait.facts["kind"]) == (Why.DEVICE_WINDOW, "maintenance")


def test_a_device_that_is_calibrating_without_an_announced_end_is_offline_and_says_why() -> None:
    (wait,) = decided([60], online=False, condition="calibrating").waits
    assert (wait.why, wait.facts) == (Why.BACKEND_OFFLINE, {"backend": "qpu", "condition": "calibrating"})


def test_the_vendors_own_line_is_told_beside_the_place_in_ours() -> None:
    found = decided([60] * 4, vendor_queue=17)
    (wait,) = found.waits
    assert (wait.facts["position"], wait.facts["vendor_queue"]) == (1, 17)
    sentence = why_it_waits(wait.why, wait.facts)
    assert sentence.ja.endswith("(順番: 1番目、提供元での待ち: 17件)")
    assert sentence.en.endswith("(position 1 in line, 17 jobs wait at the vendor)")


@pytest.mark.parametrize(
    ("kind", "ja", "en"), [("calibrating", "較正", "calibration"), ("maintenance", "保守", "maint")]
)
def test_a_window_is_told_in_both_languages(kind: str, ja: str, en: str) -> None:
    (wait,) = decided([3600], window(10, 40, DeviceState(kind))).waits
    sentence = why_it_waits(wait.why, wait.facts)
    assert ja in sentence.ja
    assert en in sentence.en
    assert "2026-04-01 09:40:00 JST" in sentence.ja


def test_the_next_window_is_the_earliest_that_is_not_over() -> None:
    windows = [window(60, 90), window(-30, 0), window(-5, 5)]
    assert next_window(windows, now=NOW) == windows[2]
    assert next_window(windows, now=at(5)) == windows[0]
    assert next_window(windows, now=at(90)) is None


_WINDOWS = st.lists(
    st.builds(lambda since, length: window(since, since + length), st.integers(-100, 100), st.integers(1, 60)),
    max_size=6,
)


@given(_WINDOWS, st.lists(st.integers(1, 7200), max_size=6))
def test_no_start_overlaps_a_window(windows: list[OfflineWindow], walltimes_s: list[int]) -> None:
    for start in decided(walltimes_s, *windows).starts:
        ends = NOW + timedelta(seconds=walltimes_s[start.attempt_id.int - 100])
        assert all(each.until <= NOW or ends <= each.since for each in windows)


@given(_WINDOWS, st.integers(-100, 100), st.integers(1, 100))
def test_what_is_in_the_way_is_the_first_that_overlaps(windows: list[OfflineWindow], since: int, length: int) -> None:
    found = in_the_way(windows, since=at(since), until=at(since + length))
    met = [each for each in windows if max(each.since, at(since)) < min(each.until, at(since + length))]
    assert (found is None) == (not met)
    assert found is None or found.since == min(each.since for each in met)
