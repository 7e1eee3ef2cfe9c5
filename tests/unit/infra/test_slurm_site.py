from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.slurm import daemons, records
from infra.slurm.daemons import Daemon
from infra.slurm.site import Site, accounting, configuration, people, with_option


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_every_slot_of_the_templates_is_filled() -> None:
    files = configuration(Site())
    assert set(files) == {"cgroup.conf", "gres.conf", "slurm.conf", "slurmdbd.conf"}
    assert [name for name, text in files.items() if "{{" in text] == []


def test_nodes_have_their_gpus_and_half_of_them_the_faster_network() -> None:
    nodes = lines(configuration(Site(nodes=3, gpus=2))["slurm.conf"], "NodeName=")
    assert len(nodes) == 3
    assert all("Gres=gpu:h200:2" in node for node in nodes)
    assert ["Feature=nvlink" in node for node in nodes] == [True, True, False]


def test_the_first_node_has_the_qpu_where_there_is_one() -> None:
    files = configuration(Site(nodes=2))
    assert ["qpu:kyo:1" in node for node in lines(files["slurm.conf"], "NodeName=")] == [True, False]
    assert "Name=qpu Type=kyo Count=1 " in files["gres.conf"]
    without = configuration(Site(qpus=0))
    assert "qpu" not in without["gres.conf"] + "".join(lines(without["slurm.conf"], "NodeName="))


def test_ports_follow_the_base() -> None:
    conf = configuration(Site(base_port=21_000, netns=False, nodes=2))
    assert lines(conf["slurm.conf"], "SlurmctldPort=") == ["SlurmctldPort=21000"]
    assert lines(conf["slurmdbd.conf"], "DbdPort=") == ["DbdPort=21001"]
    assert ["Port=21010" in node for node in lines(conf["slurm.conf"], "NodeName=")] == [True, False]


def test_without_a_network_of_its_own_nothing_listens_for_others() -> None:
    shared, own = (configuration(Site(netns=netns))["slurm.conf"] for netns in (False, True))
    assert "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n" in shared
    assert "CommunicationParameters=NoCtldInAddrAny\n" in own


def test_an_option_is_replaced_where_it_stands_or_put_before_the_nodes() -> None:
    conf = "MinJobAge=300\nA=1\n\nNodeName=gpu0\n"
    assert with_option(conf, "minjobage", "5") == "minjobage=5\nA=1\n\nNodeName=gpu0\n"
    assert with_option(conf, "B", "2") == "MinJobAge=300\nA=1\n\nB=2\n\nNodeName=gpu0\n"


def test_users_have_fixed_numbers_in_their_order() -> None:
    site = Site(users=("u-one", "u-two"), accounts={})
    assert site.uids == {"kyoyo": 2000, "restd": 1999, "u-one": 2001, "u-two": 2002}
    known = people(site, "root:x:0:0::/root:/bin/bash\n", "root:x:0:\n")
    assert known["passwd"].startswith("root:x:0:0:")
    assert "u-two:x:2002:2002:" in known["passwd"]
    assert "u-two:x:2002:\n" in known["group"]


@pytest.mark.parametrize("name", ["root user", "a|b", "", "-x", "A", "é", "x" * 33])
def test_strange_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Site(users=(name,), accounts={})


def test_nobody_is_given_the_service_user() -> None:
    with pytest.raises(ValueError, match="not a name"):
        Site(users=("kyoyo",), accounts={})


def test_members_get_their_account_and_the_service_user_is_an_operator() -> None:
    _, tree = accounting(Site(users=("alice", "dave"), accounts={"lab-x": ("alice",)}))
    assert "add user alice account=lab-x qos=normal,high defaultqos=normal\n" in tree
    assert "dave" not in tree
    assert "adminlevel=Operator" in tree


@pytest.mark.parametrize(
    ("words", "is_it"),
    [
        (["/usr/sbin/slurmd", "-D", "-N", "gpu1"], True),
        (["/usr/sbin/slurmd", "-D", "-N", "gpu10"], False),
        (["slurmstepd:", "[1.batch]"], False),
        ([], False),
    ],
)
def test_the_daemon_of_a_node_is_told_from_others(words: list[str], is_it: bool) -> None:  # noqa: FBT001  a parameter
    assert daemons.is_of(Daemon.SLURMD, words, "gpu1") is is_it


def test_rows_of_both_forms_of_numbers() -> None:
    old = _job(suspended=2, elapsed=12, end=1_000_012, signal={"id": {"set": False, "number": 0}})
    new = _job(
        suspended={"set": True, "infinite": False, "number": 2},
        elapsed={"set": True, "infinite": False, "number": 12},
        end={"set": True, "infinite": False, "number": 1_000_012},
        signal={"id": {"set": True, "number": 9}},
    )
    first, second = records.parse({"jobs": [old, new]})
    assert first.ended_at == second.ended_at == datetime(1970, 1, 12, 13, 46, 52, tzinfo=UTC)
    assert (first.signal, second.signal) == (None, 9)
    assert first.gpu_s == second.gpu_s == 2 * (12 - 2)
    assert first.tres == {"cpu": 1, "gres/gpu": 2, "gres/gpu:h200": 2}


def _job(*, suspended: object, elapsed: object, end: object, signal: object) -> dict[str, object]:
    return {
        "job_id": 7,
        "array": {"task_id": {"set": False, "infinite": False, "number": 0}},
        "name": "ky-1",
        "user": "alice",
        "association": {"user": "alice"},
        "account": "lab-a",
        "qos": "normal",
        "time": {"submission": 999_990, "start": 1_000_000, "end": end, "elapsed": elapsed, "suspended": suspended},
        "state": {"current": ["COMPLETED"]},
        "exit_code": {"return_code": {"set": True, "infinite": False, "number": 0}, "signal": signal},
        "tres": {
            "allocated": [
                {"type": "cpu", "name": "", "count": 1},
                {"type": "gres", "name": "gpu", "count": 2},
                {"type": "gres", "name": "gpu:h200", "count": 2},
            ]
        },
        "restart_cnt": 0,
        "nodes": "gpu0",
        "comment": {"job": "ky-1"},
    }
