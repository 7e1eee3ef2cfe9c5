"""What Slurm users type, against a real house; and functions that run there and come back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kyoyo
from kyoyo.executor import FailedJobError
from kyoyo.shims.install import install
from portal.demo.house import House
from tests.support.live_house import live_house

pytestmark = [
    pytest.mark.takes(18),
    pytest.mark.xdist_group("house-of-habits"),
    pytest.mark.postgres,
    pytest.mark.sandbox,
    pytest.mark.quantum,
    pytest.mark.timeout(300),
]

EVERYDAY = Path(__file__).parent / "everyday.sh"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with live_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


def test_everyday_slurm_commands_work_here(house: House, tmp_path: Path) -> None:
    install(tmp_path / "bin", python=sys.executable)
    done = subprocess.run(
        ["/bin/bash", EVERYDAY],
        env={
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "USER": "hanako",
            "LANG": "C.UTF-8",
            "KYOYO_URL": house.address,
            "KYOYO_TOKEN": house.keys.startup,
            "KYOYO_CONFIG_DIR": str(tmp_path),
            "SBATCH_PARTITION": "gpu-demo",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all is well"


def square(number: int) -> dict[str, int]:
    return {"square": number * number}


def broken() -> None:
    raise LookupError("nowhere")


def test_functions_run_in_the_house_and_come_back(house: House, tmp_path: Path) -> None:
    with kyoyo.Client(house.address, house.keys.startup, environment={}) as client:
        executor = kyoyo.AutoExecutor(tmp_path / "runs", client=client, by_value=[sys.modules[__name__]])
        executor.update_parameters(timeout_min=2, slurm_partition="gpu-demo", slurm_array_parallelism=2)
        jobs = executor.map_array(square, [2, 3, 4])
        failed = executor.submit(broken)
        assert [job.result() for job in jobs] == [{"square": 4}, {"square": 9}, {"square": 16}]
        assert executor.submit(lambda: {1, 2}).result() == {1, 2}
        with pytest.raises(FailedJobError, match="LookupError: nowhere"):
            failed.result()
