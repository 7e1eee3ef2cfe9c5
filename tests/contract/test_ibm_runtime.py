"""IBM Quantum through the real library keeps the contract, against a local stub of IBM's API that runs Aer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hpc_adapters.conformance.suite import BackendConformance, FaultConformance
from tests.support.ibm_house import IbmHarness
from tests.support.ibm_stub import ibm_stub

pytestmark = [
    pytest.mark.xdist_group("ibm-runtime"),
    pytest.mark.ibm,
    pytest.mark.quantum,
    pytest.mark.sandbox,
    pytest.mark.takes(5),
]


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with ibm_stub() as url:
        yield url


@pytest.fixture
async def ibm(stub: str, tmp_path: Path) -> AsyncIterator[IbmHarness]:
    made = IbmHarness(stub, tmp_path)
    yield made
    await made.close()


class TestIbm(BackendConformance):
    @pytest.fixture
    def harness(self, ibm: IbmHarness) -> IbmHarness:
        return ibm


class TestFaults(FaultConformance):
    @pytest.fixture
    def faulty(self, ibm: IbmHarness) -> IbmHarness:
        return ibm
