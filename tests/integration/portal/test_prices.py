"""The price book over HTTP: references, proposals, approvals, the public history, promotions and policies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from tests.integration.portal.test_submission_refusals import refused
from tests.support.market import GPU, MARKET, NOW, an_id
from tests.support.portal_world import ALPHA, OFFICER, OPERATOR, SECOND, World, key

API = "/api/v1"
TOMORROW = (NOW + timedelta(days=1)).isoformat()
REFERENCE: dict[str, Any] = {
    "resource_type": "gpu:demo",
    "component": "gpu_s",
    "per": "3600",
    "foreign": {"currency": "USD", "amount": "3.2", "exchange_rate": "150", "source": "a bank", "on": "2026-03-31"},
    "source": "cloud A's public list, one GPU",
    "observed_on": "2026-04-01",
    "terms": "on demand, without tax",
    "evidence": {"name": "list.pdf", "sha256": "ab" * 32, "size_bytes": 1024},
}


def prices(reference: str, **other: Any) -> dict[str, Any]:
    return {
        "offering": GPU,
        "valid_from": TOMORROW,
        "list_prices": [{"component": "gpu_s", "per": "3600", "list_yen": "400", "market_reference": reference}],
        "prices": [
            {"customer_class": "startup", "customer_class_percent": "60"},
            {"customer_class": "sme", "price_yen": {"gpu_s": "320"}},
        ],
        "reason": "四半期の改定",
        **other,
    }


async def _post(http: httpx2.AsyncClient, path: str, body: dict[str, Any], name: str = "a") -> httpx2.Response:
    return await http.post(f"{API}{path}", json=body, headers=key(name))


async def test_a_look_at_the_market_is_recorded_with_its_proof(world: World) -> None:
    async with world.client(OPERATOR) as http:
        tried = await _post(http, "/market-references?dry_run=true", REFERENCE)
        before = (await http.get(f"{API}/market-references")).json()["items"]
        recorded = await _post(http, "/market-references", REFERENCE)
        again = await _post(http, "/market-references", REFERENCE)
        other = await _post(http, "/market-references", {**REFERENCE, "terms": "committed"})
        listed = (await http.get(f"{API}/market-references")).json()["items"]
    told = recorded.json()
    assert tried.json() == told == again.json() == listed[0]
    assert len(before) == len(MARKET) == len(listed) - 1
    assert (told["amount_yen"], told["age_days"], told["block_after_days"]) == ("480", 0, 180)
    assert told["evidence"] == REFERENCE["evidence"]
    assert refused(other) == (409, "market-reference-exists")


async def test_a_price_is_proposed_by_one_and_approved_by_another(world: World) -> None:
    body = prices(str(MARKET[0].id))
    async with world.client(OPERATOR) as first, world.client(SECOND) as second:
        rehearsed = await _post(first, "/prices/proposals?dry_run=true", body)
        nothing = (await first.get(f"{API}/proposals?undecided=true")).json()["items"]
        made = await _post(first, "/prices/proposals", body)
        again = await _post(first, "/prices/proposals", body)
        at = f"{API}/proposals/{made.json()['id']}"
        own = await first.post(f"{at}/approve", json={})
        seen = (await second.get(at)).json()
        looked = (await second.post(f"{at}/approve?dry_run=true", json={})).json()
        waiting = (await second.get(f"{API}/proposals?undecided=true")).json()["items"]
        approved = (await second.post(f"{at}/approve", json={"reason": "確認済み"})).json()
        late = await second.post(f"{at}/reject", json={"reason": "no"})
    assert (rehearsed.json(), nothing) == ({**made.json(), "dry_run": True}, [])
    assert (made.status_code, again.json(), waiting) == (201, made.json(), [seen])
    assert made.json()["status"] == seen["status"] == "open"
    assert [each["prices"][0]["price_yen"] for each in seen["effect"]["versions"]] == ["240", "320"]
    assert refused(own) == (403, "own-proposal")
    assert (looked["status"], looked["dry_run"]) == ("approved", True)
    assert (approved["status"], approved["decision"]["reason"]) == ("approved", "確認済み")
    assert refused(late) == (409, "proposal-decided")


async def test_anybody_sees_what_prices_were_and_are(world: World) -> None:
    async with world.client(OPERATOR) as first, world.client(SECOND) as second:
        reference = (await _post(first, "/market-references", REFERENCE)).json()["id"]
        made = (await _post(first, "/prices/proposals", prices(reference))).json()
        await second.post(f"{API}/proposals/{made['id']}/approve", json={})
    async with world.client(None) as anybody:
        public = (await anybody.get(f"{API}/prices/history", params={"offering": GPU})).json()["items"]
        everything = (await anybody.get(f"{API}/prices/history")).json()["items"]
        unknown = await anybody.get(f"{API}/prices/history", params={"offering": "nothing"})
    told = [(each["customer_class"], each["price_yen"], each["market_yen"], each["valid_until"]) for each in public]
    assert told == [
        ("startup", "330", "500", TOMORROW.replace("+00:00", "Z")),
        ("sme", "320", "480", None),
        ("startup", "240", "480", None),
    ]
    assert public[2]["market_evidence_sha256"] == "ab" * 32
    assert len(everything) == 5
    assert refused(unknown) == (422, "unknown-offering")


async def test_what_cannot_be_published_is_refused_by_name(world: World, subtests: pytest.Subtests) -> None:
    market = str(MARKET[0].id)
    one = {"customer_class": "startup", "price_yen": {"gpu_s": "500"}}
    dear = [{"component": "gpu_s", "per": "3600", "list_yen": "500", "market_reference": market}]
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("/prices/proposals", prices(market, list_prices=dear, prices=[one]), "price-not-below-market"),
        ("/prices/proposals", prices(market, prices=[one]), "price-above-list"),
        ("/prices/proposals", prices(market, prices=[{"customer_class": "startup"}]), "price-components-wrong"),
        ("/prices/proposals", prices(market, offering="nothing"), "unknown-offering"),
        ("/prices/proposals", prices(market, valid_from="2026-03-01T00:00:00Z"), "price-backdated"),
        ("/prices/proposals", prices(market, valid_from=NOW.isoformat()), "price-version-exists"),
        ("/prices/proposals", prices(market, valid_until="2027-01-01T00:00:00Z"), "price-gap"),
        (
            "/prices/proposals",
            prices(market, slice_premium_percent="900", slice_below_gpus=2),
            "price-not-below-market",
        ),
        ("/prices/proposals", prices(market, minimum_s=9_999), "coefficient-wrong"),
        ("/prices/proposals", prices(market, tax_rate_percent="-1"), "invalid-request"),
        ("/prices/proposals", prices(market, reason=" "), "proposal-reason-wrong"),
        ("/prices/proposals", prices("00000000-0000-4000-8000-000000000000"), "market-reference-unknown"),
        ("/market-references", {**REFERENCE, "observed_on": "2026-04-02"}, "market-reference-wrong"),
        ("/market-references", {**REFERENCE, "amount_yen": "481"}, "market-reference-wrong"),
        ("/market-references", {**REFERENCE, "evidence": None}, "invalid-request"),
        ("/market-references", {**REFERENCE, "foreign": None}, "amount-not-positive"),
        ("/policies/nothing/proposals", {"value": {}, "reason": "x"}, "policy-wrong"),
    ]
    async with world.client(OPERATOR) as http:
        for number, (path, body, code) in enumerate(cases):
            with subtests.test(f"{number} {code}"):
                answer = await _post(http, path, body, str(number))
                assert refused(answer)[1] == code
        assert (await http.get(f"{API}/proposals")).json()["items"][0]["kind"] == "price.publish"  # the first prices
        assert len((await http.get(f"{API}/proposals")).json()["items"]) == 1


async def test_offerings_promotions_and_policies(world: World) -> None:
    new = {
        "id": "gpu-new",
        "backend": "local",
        "kind": "gpu",
        "resource_type": "gpu:demo",
        "title_ja": "新しいGPU",
        "title_en": "New GPU",
        "max_walltime_s": 3600,
        "max_gpus": 8,
        "hardware": {"gpu_memory_gb": 141, "interconnect": "InfiniBand NDR"},
        "software": ["CUDA 13", "PyTorch 2.9"],
        "provider": "hokuto",
        "site": "石狩",
    }
    spring = {
        "title_ja": "春",
        "title_en": "Spring",
        "percent": "10",
        "starts_at": TOMORROW,
        "ends_at": "2026-05-01T00:00:00Z",
        "reason": "campaign",
    }
    tiers = {"value": {"tiers": [{"above_yen": "1000000", "percent_bp": 500}]}, "reason": "board"}
    async with world.client(OPERATOR) as first, world.client(SECOND) as second:
        tried = await first.post(f"{API}/offerings?dry_run=true", json=new)
        created = await first.post(f"{API}/offerings", json=new)
        retired = await first.post(f"{API}/offerings/gpu-new/retire", json={"at": TOMORROW})
        twice = await first.post(f"{API}/offerings/gpu-new/retire", json={})
        for path, body in (("/promotions", spring), ("/policies/volume_discount", tiers)):
            made = await _post(first, f"{path}/proposals", body)
            await second.post(f"{API}/proposals/{made.json()['id']}/approve", json={})
        policies = (await second.get(f"{API}/policies")).json()["items"]
    assert tried.json() == created.json()
    assert (created.json()["software"], created.json()["provider"], created.json()["site"]) == (
        ["CUDA 13", "PyTorch 2.9"],
        "hokuto",
        "石狩",
    )
    assert retired.json()["retires_at"] == TOMORROW.replace("+00:00", "Z")
    assert refused(twice) == (422, "offering-retired")
    assert [(each["name"], each["value"]) for each in policies] == [("volume_discount", tiers["value"])]
    async with world.client(ALPHA) as http:
        (promotion,) = (await http.get(f"{API}/promotions")).json()["items"]
        forbidden = [await http.get(f"{API}/{path}") for path in ("proposals", "policies", "market-references")]
    assert (promotion["title"], promotion["percent"], promotion["month_yen"]) == ("Spring", "10", None)
    async with world.client(OFFICER) as http:
        forbidden += [await _post(http, "/prices/proposals", prices(str(MARKET[0].id)))]
    assert {refused(each) for each in forbidden} == {(403, "scope-missing")}


async def test_a_class_of_customers_is_shown_with_its_evidence(world: World) -> None:
    of_alpha = f"{API}/organisations/{an_id('organisation', ALPHA)}/declarations"
    new = {
        "customer_class": "university",
        "valid_from": TOMORROW,
        "valid_until": "2027-03-31T15:00:00Z",
        "evidence": {"name": "届出.pdf", "sha256": "cd" * 32, "size_bytes": 9},
    }
    async with world.client(OPERATOR) as http:
        tried = await http.post(f"{of_alpha}?dry_run=true", json=new)
        before = (await http.get(of_alpha)).json()["items"]
        declared = await http.post(of_alpha, json=new)
        bad = await http.post(of_alpha, json={**new, "valid_until": TOMORROW})
        shown = await http.post(of_alpha, json={**new, "evidence": {**new["evidence"], "sha256": "x"}})
    assert [each["customer_class"] for each in tried.json()["items"]] == ["university", "startup"]
    assert [(each["customer_class"], each["evidence"]) for each in before] == [("startup", None)]
    assert declared.status_code == 201
    assert declared.json()["items"][0]["evidence"] == new["evidence"]
    assert (refused(bad), refused(shown)) == ((422, "invalid-period"), (422, "invalid-request"))
    async with world.client(ALPHA) as http:
        assert (await http.get(f"{API}/declarations")).json() == declared.json()
