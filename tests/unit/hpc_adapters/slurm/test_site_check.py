"""slurm.conf as REST shows it, judged."""

from __future__ import annotations

import pytest

from hpc_adapters.slurm.site_check import of_configuration

GOOD = {
    "PrivateData": ["accounts", "jobs", "users"],
    "AccountingStorageEnforce": "associations,limits,qos,safe",
    "AccountingStorageTRES": "gres/gpu,gres/gpu:h200",
    "AccountingStoreFlags": ["JOB_COMMENT"],
    "JobRequeue": {"set": True, "number": 0},
    "MinJobAge": {"set": True, "number": 3600},
    "ProctrackType": "proctrack/cgroup",
}


def test_a_good_site_lacks_nothing_and_a_silent_one_is_not_judged() -> None:
    assert list(of_configuration(GOOD)) == []
    assert list(of_configuration({})) == []


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("PrivateData", [], "private-data"),
        ("PrivateData", None, "private-data"),
        ("AccountingStorageEnforce", "associations", "limits-not-enforced"),
        ("AccountingStorageTRES", "cpu,mem", "gpus-not-counted"),
        ("AccountingStoreFlags", ["JOB_COMMENT", "JOB_ENV"], "stores-programs"),
        ("AccountingStoreFlags", "job_script", "stores-programs"),
        ("JobRequeue", 1, "job-requeue"),
        ("MinJobAge", 60, "min-job-age"),
        ("ProctrackType", "proctrack/linuxproc", "proctrack"),
    ],
)
def test_what_a_site_must_change_has_a_name(option: str, value: object, code: str) -> None:
    assert [lack.code for lack in of_configuration({**GOOD, option: value})] == [code]
