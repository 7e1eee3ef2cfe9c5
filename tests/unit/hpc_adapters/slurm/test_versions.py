from __future__ import annotations

import pytest

from hpc_adapters.slurm.versions import KNOWN, NoCommonVersion, at_least, choose, offered
from tests.support import slurm_golden


def paths(*versions: str, daemons: tuple[str, ...] = ("slurm", "slurmdb")) -> dict[str, object]:
    return {"paths": {f"/{daemon}/{version}/jobs/": {} for daemon in daemons for version in versions}}


@pytest.mark.parametrize(("release", "newest"), [("24.11", "v0.0.42"), ("26.05", "v0.0.45")])
def test_the_newest_version_of_a_real_server_is_spoken(release: str, newest: str) -> None:
    assert choose(slurm_golden.description(release)) == newest


@pytest.mark.parametrize("release", slurm_golden.releases())
def test_every_version_that_a_real_server_offers_is_recorded_and_known(release: str) -> None:
    recorded = {offer.version for offer in slurm_golden.offers() if offer.release == release}
    assert offered(slurm_golden.description(release)) == recorded
    assert recorded <= set(KNOWN)


def test_versions_are_compared_as_numbers() -> None:
    assert at_least("v0.0.100", "v0.0.45")
    assert not at_least("v0.0.9", "v0.0.45")


def test_a_version_of_the_future_is_left_alone() -> None:
    assert choose(paths("v0.0.44", "v0.0.45", "v0.0.46")) == "v0.0.45"


def test_a_version_that_only_one_daemon_speaks_is_none() -> None:
    both, one = paths("v0.0.42"), paths("v0.0.45", daemons=("slurm",))
    assert choose({"paths": {**both["paths"], **one["paths"]}}) == "v0.0.42"  # type: ignore[dict-item]


@pytest.mark.parametrize("description", [{}, {"paths": []}, {"paths": {"/openapi": {}}}, paths("v0.0.36", "v0.0.99")])
def test_without_a_common_version_the_offer_is_told(description: dict[str, object]) -> None:
    with pytest.raises(NoCommonVersion, match="offered"):
        choose(description)
