"""`kyoyo reserve`: what is asked of the portal, and what a person reads."""

from __future__ import annotations

from pathlib import Path

import httpx2

from tests.support.fake_portal import FakePortal, a_job, kyoyo, problem

R1 = {
    "id": "11111111-0000-4000-8000-000000000000",
    "name": "R1",
    "offering": "gpu",
    "units": 8,
    "since": "2026-12-01T01:00:00+00:00",
    "until": "2026-12-02T01:00:00+00:00",
    "cancel_by": "2026-11-30T10:00:00+00:00",
    "state": "booked",
}


def test_a_booking_says_from_when_and_until_when_or_how_long() -> None:
    asked = FakePortal().on("POST /reservations", R1)
    begin = "2026-12-01T10:00"
    ran = kyoyo(asked, "reserve", "book", "gpu", "-n", "8", "--from", begin, "--for", "24h")
    assert ran.code == 0
    assert "--reservation R1" in ran.out
    kyoyo(asked, "reserve", "book", "gpu", "-n", "8", "--from", begin, "--until", "2026-12-02T10:00")
    first, second = asked.bodies("POST /reservations")
    assert first == second
    assert (first["offering"], first["units"]) == ("gpu", 8)
    for more in ([], ["--for", "1h", "--until", "2026-12-02"]):
        assert kyoyo(asked, "reserve", "book", "gpu", "-n", "8", "--from", begin, *more).code == 2


def test_reservations_and_the_calendar_are_listed_in_both_languages() -> None:
    day = {"day": "2026-12-01", "units": 16, "free": 8}
    asked = FakePortal().on("GET /reservations", {"items": [R1]}).on("GET /calendar", {"items": [day]})
    assert "booked" in kyoyo(asked, "reserve", "ls").out
    assert "予約済み" in kyoyo(asked, "reserve", "ls", KYOYO_LANG="ja").out
    assert "2026-12-01" in kyoyo(asked, "reserve", "calendar", "gpu").out
    assert '"free": 8' in kyoyo(asked, "reserve", "calendar", "gpu", "--json").out


def test_a_refusal_reaches_the_person_with_its_remedy() -> None:
    late = problem(409, "reservation-deadline-passed", remedy="Ask the operator.")
    ran = kyoyo(FakePortal().on("POST /reservations/R1/cancel", late), "reserve", "cancel", "R1")
    assert (ran.code, "Ask the operator." in ran.err) == (6, True)
    asked = FakePortal().on("POST /reservations/R1/cancel", R1)
    assert "R1" in kyoyo(asked, "reserve", "cancel", "R1").out


def test_an_operator_sets_capacity_quotas_and_closures() -> None:
    done = httpx2.Response(204)
    closure = {"id": "c1", "backend": "local", "since": R1["since"], "until": R1["until"], "reason": "cooling"}
    asked = FakePortal().on("POST /calendar", done).on("POST /organisations/o1/reservation-quota", done)
    asked.on("POST /closures", closure).on("GET /closures", {"items": [closure]}).on("POST /closures/c1/lift", done)
    capacity = ("reserve", "capacity", "gpu", "--units", "16", "--first", "2026-12-01")
    assert kyoyo(asked, *capacity, "--cancel-before", "15h").code == 0
    assert asked.bodies("POST /calendar") == [
        {"offering": "gpu", "units": 16, "first_day": "2026-12-01", "cancel_before_s": 54_000}
    ]
    assert kyoyo(asked, *capacity, "--last", "December").code == 2
    quota = ("reserve", "quota", "o1", "--units", "8", "--unit-hours", "100", "--days-ahead", "30")
    assert kyoyo(asked, *quota).code == 0
    close = ("reserve", "close", "gpu", "--from", "2026-12-01T10:00", "--for", "2h", "--reason", "cooling")
    assert "cooling" in kyoyo(asked, *close).out
    assert "c1" in kyoyo(asked, "reserve", "closures").out
    assert kyoyo(asked, "reserve", "reopen", "c1").code == 0


def test_a_job_asks_for_its_reservation_and_to_be_shortened(tmp_path: Path) -> None:
    asked = FakePortal().on("POST /jobs", a_job())
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n#SBATCH --reservation=R1 --time=4:00:00 --gpus=1 --partition=gpu\necho hello\n")
    assert kyoyo(asked, "submit", str(script), "--shorten").code == 0
    (body,) = asked.bodies("POST /jobs")
    assert (body["reservation"], body["shorten"]) == ("R1", True)
