from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from hpc_adapters.confined.request import claim_uid, is_variable
from hpc_adapters.confined.sandbox import NONE, ROOT, start_script, walls


def test_a_user_id_is_kept_for_its_attempt_and_never_given_twice(tmp_path: Path) -> None:
    first, twin = UUID(int=5), UUID(int=5 + 100_000_000)  # derived to the same number
    assert claim_uid(tmp_path, first) == 1_900_000_005
    assert claim_uid(tmp_path, twin) == 1_900_000_006
    assert (claim_uid(tmp_path, first), claim_uid(tmp_path, twin)) == (1_900_000_005, 1_900_000_006)


@pytest.mark.parametrize(
    ("name", "value", "may"),
    [
        ("EPOCHS", "5", True),
        ("_x9", "", True),
        ("LD_PRELOAD", "/job/x.so", False),
        ("9A", "", False),
        ("A B", "", False),
        ("A\n", "", False),
        ("変数", "", False),
        ("A", "a\0b", False),
    ],
)
def test_a_job_may_set_plain_variables(name: str, value: str, *, may: bool) -> None:
    assert is_variable(name, value) is may


def test_rights_are_taken_away_before_the_environment_of_the_job_is_set() -> None:
    script = start_script(ROOT, uid=7, processes=9, environment={"A": "x y"}, argv=["/kyoyo/script", "$(id)"])
    assert script == (
        "#!/bin/sh\nexec prlimit --nproc=9:9 -- setpriv --reuid=7 --regid=7 --clear-groups --no-new-privs "
        "--bounding-set=-all --inh-caps=-all -- env -i 'A=x y' /kyoyo/script '$(id)'\n"
    )
    plain = start_script(NONE, uid=7, processes=9, environment={}, argv=["a"])
    assert plain == "#!/bin/sh\nexec env -i a\n"


def test_the_network_is_an_exception_and_software_is_read_only() -> None:
    argv = walls(ROOT, read_only=["/opt/b", "/opt/a"])
    assert "--unshare-net" in argv
    assert "--unshare-net" not in walls(ROOT, network=True)
    text = " ".join(argv)
    assert text.index("--perms 0755 --dir /opt --ro-bind /opt/a /opt/a") < text.index("--ro-bind /opt/b /opt/b")
    assert " --bind " not in text
