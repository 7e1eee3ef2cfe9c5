"""What may not run is refused by name, in both languages, with what to do; Slurm never hears of it, and nobody pays.

Where the portal itself knows better the submission is refused. What only the machine's adapter can judge is taken, and
ends at its hand-over with the machine's code and a sentence; the hold is given back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from accounts import service as accounts
from hpc_adapters.slurm.settings import ImageHook, ImageKind
from infra.clock import utc_now
from infra.db.connection import Role, transaction
from infra.slurm.cluster import Cluster
from kyoyo import Client, UsageError, messages_ja
from tests.support import slurm_house
from tests.support.database import Database
from tests.support.slurm_house import OFFERING
from tests.support.slurm_world import SCRIPT, SlurmWorld, open_world

pytestmark = [pytest.mark.postgres, pytest.mark.slurm, pytest.mark.timeout(180), pytest.mark.takes(8)]

EVIL = "x\r\nX-SLURM-USER-NAME: root"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a walltime over the limit": ({"walltime_s": 86_401}, "walltime-too-long"),
    "a walltime beyond any number": ({"walltime_s": 10**30}, "invalid-request"),
    "more GPUs than exist": ({"gpus": 17}, "too-many-gpus"),
    "more nodes than GPUs": ({"gpus": 4, "nodes": 3}, "uneven-nodes"),
    "more CPUs than the GPUs bring": ({"cpus": 5}, "more-than-gpus-bring"),
    "a dependency on nothing": ({"dependencies": [{"kind": "afterok", "job": 4711}]}, "dependency-not-found"),
    "a dependency in Slurm's own words": (
        {"dependencies": [{"kind": "afterok", "job": "1:2?singleton"}]},
        "bad-option",
    ),
    "an array of a hundred thousand": ({"array": {"indices": list(range(100_000))}}, "array-too-large"),
    "an image above its folder": ({"image": "../../etc/shadow"}, "bad-option"),
    "an output above its folder": ({"outputs": ["../../*/stdout"]}, "bad-option"),
    "an input above its folder": ({"inputs": [{"key": "a", "name": "../../x"}]}, "bad-option"),
    "a name with a newline": ({"name": "a\n#SBATCH --uid=0"}, "invalid-name"),
    "a name with an escape": ({"name": "\x1b]0;root\x07"}, "invalid-name"),
    "a name with NUL": ({"name": "a\0b"}, "invalid-name"),
    "a header in a constraint": ({"constraint": EVIL}, "bad-option"),
    "a line in a reservation": ({"reservation": "r\n#SBATCH --uid=0"}, "bad-option"),
    "a header in a GPU type": ({"gpu_type": EVIL}, "bad-option"),
    "a header in a licence": ({"licenses": {EVIL: 1}}, "bad-option"),
    "a header in an image": ({"image": EVIL}, "bad-option"),
    "a header in a variable's name": ({"environment": {"A\r\nX-SLURM-USER-NAME": "root"}}, "bad-variable"),
    "a header in a variable's value": ({"environment": {"A": EVIL}}, "bad-variable"),
    "a variable of Slurm's": ({"environment": {"SBATCH_UID": "0"}}, "bad-variable"),
    "a variable of the job's head": ({"environment": {"SLURM_JOB_ID": "1"}}, "bad-variable"),
    "a loader": ({"environment": {"LD_PRELOAD": "/tmp/x.so"}}, "bad-variable"),
    "a partition": ({"partition": "debug"}, "invalid-request"),
    "an account": ({"account": "root"}, "invalid-request"),
    "a QOS": ({"qos": "high"}, "invalid-request"),
    "a service class that has no price": ({"service_class": "spot"}, "no-price"),
    "an unknown service class": ({"service_class": "high"}, "invalid-request"),
    "an unknown offering": ({"offering": "debug"}, "unknown-offering"),
    "an unknown project": ({"project": "root"}, "project-not-found"),
    "a signal that nobody may send": ({"signal": {"name": "KILL", "before_s": 10}}, "unknown-signal"),
    "a script with NUL": ({"script": "#!/bin/bash\n\0"}, "script-not-text"),
    "what this site does not offer": ({"constraint": "nvlink"}, "unsupported-feature"),
    "an image that is not allowed": ({"image": "evil"}, "not-at-this-site"),
    "a reservation that is not there": ({"reservation": "maintenance"}, "not-at-this-site"),
    "a GPU type that is not offered": ({"gpu_type": "b200"}, "not-at-this-site"),
    "a licence that is not offered": ({"licenses": {"matlab": 1}}, "not-at-this-site"),
}

AT_HAND_OVER: dict[str, tuple[dict[str, Any], str]] = {
    "a reservation of others": ({"reservation": "of-others"}, "reservation-not-allowed"),
    "more GPUs than any node has": ({"gpus": 16}, "no-node-fits"),
    "more nodes than there are": ({"gpus": 9, "nodes": 9}, "too-large"),
}

SITE: dict[str, object] = {
    "image_hook": ImageHook(ImageKind.PREFIX, ("/usr/bin/env",)),
    "images": {"torch": "/images/torch.sif"},
    "reservations": {"of-others": frozenset({"others"})},
    "licenses": frozenset({"solver"}),
}


@pytest.fixture
async def world(database: Database, own_cluster: Callable[..., Cluster]) -> AsyncIterator[SlurmWorld]:
    slugs = slurm_house.names(2)
    cluster = own_cluster("24.11", nodes=2, gpus=8, binds=(), **slurm_house.site(slugs))
    async with open_world(database, cluster, slugs, **SITE) as opened:
        yield opened


def problem(answer: httpx2.Response) -> dict[str, Any]:
    """A well-formed refusal: what is wrong, and what to do."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["detail"]
    assert told["remedy"]
    return told


def has_japanese(text: str) -> bool:
    return any("\u3040" <= char <= "\u30ff" or "\u4e00" <= char <= "\u9fff" for char in text)


def never_heard_of(cluster: Cluster) -> bool:
    """Neither the queue nor the accounting knows any job; not even the trace that Slurm keeps of what it refuses."""
    queue = cluster.exec("squeue", "--noheader", "--states=all", check=True).stdout
    return not queue.strip() and cluster.sacct() == []


async def test_the_portal_refuses_what_no_machine_should_be_asked(world: SlurmWorld, subtests: pytest.Subtests) -> None:
    mine, _ = world.tenants
    for case, (changes, code) in REFUSED.items():
        with subtests.test(case):
            english = problem(await world.post(mine, **changes))
            japanese = problem(await world.post(mine, language="ja", **changes))
            assert english["code"] == japanese["code"]
            assert english["code"] == code
            assert has_japanese(japanese["detail"])
            assert has_japanese(japanese["remedy"])
    await world.tick()
    assert never_heard_of(world.cluster)
    assert await world.held_yen(mine) == "0"


async def test_a_job_cannot_wait_for_a_strangers_job(world: SlurmWorld) -> None:
    mine, stranger = world.tenants
    later = (utc_now() + timedelta(days=30)).isoformat()
    theirs = await world.job(stranger, await world.submit(stranger, begin_at=later))
    for name in (theirs["id"], theirs["number"], f"{theirs['number']}_1"):
        told = problem(await world.post(mine, dependencies=[{"kind": "afterok", "job": name}]))
        assert told["code"] == "dependency-not-found"
    await world.tick()
    assert never_heard_of(world.cluster)
    assert await world.held_yen(mine) == "0"


async def test_who_is_no_user_of_the_machine_is_told_so(world: SlurmWorld) -> None:
    mine, _ = world.tenants
    waits = await world.submit(mine, begin_at=(utc_now() + timedelta(seconds=2)).isoformat())
    async with transaction(world.database.portal, role=Role.OPERATOR) as conn:
        await accounts.unmap_site_user(
            conn,
            actor=None,
            backend=slurm_house.BACKEND,
            unix_user=mine.unix_user,
            now=utc_now(),
        )
    for language in ("en", "ja"):
        told = problem(await world.post(mine, language=language))
        assert told["code"] == "no-site-user"
        assert has_japanese(told["remedy"]) == (language == "ja")

    async def set_aside() -> bool:
        waiting = (await world.job(mine, waits))["waiting"]
        return bool(waiting["reason"] == "NOT_ELIGIBLE" and waiting["facts"]["code"] == "no-site-user")

    await world.until(set_aside)
    async with world.client(mine) as http:
        await http.post(f"/api/v1/jobs/{waits}/cancel")
    await world.until_in("CANCELLED", (mine, waits))
    assert never_heard_of(world.cluster)
    assert await world.held_yen(mine) == "0"


async def test_what_only_the_machine_can_judge_ends_at_its_hand_over(
    world: SlurmWorld, subtests: pytest.Subtests
) -> None:
    mine, _ = world.tenants
    jobs = {case: await world.submit(mine, **changes) for case, (changes, _) in AT_HAND_OVER.items()}
    await world.until_in("FAILED", *((mine, job) for job in jobs.values()))
    for case, job in jobs.items():
        with subtests.test(case):
            code = AT_HAND_OVER[case][1]
            english, japanese = await world.job(mine, job), await world.job(mine, job, "ja")
            assert english["reason"] == f"refused:{code}"
            assert english["attempts"][-1]["ending"] == "never_ran"
            said = english["story"][-1]["sentence"]
            assert f"({code}); nothing is charged. " in said
            assert said.endswith(".")
            assert has_japanese(japanese["story"][-1]["sentence"].partition(code)[2])
    assert never_heard_of(world.cluster)
    await world.until_settled()
    assert await world.held_yen(mine) == "0"


async def test_lines_for_sbatch_in_a_script_change_nothing_of_the_job(world: SlurmWorld) -> None:
    """Over HTTP they are a comment, as for bash: what counts is what was asked for beside the script."""
    mine, _ = world.tenants
    lines = "".join(f"#SBATCH {line}\n" for line in ("--uid=0", "--account=root", "--qos=high", "--gpus=16", "-N2"))
    job = await world.submit(mine, script=SCRIPT.replace("\n", f"\n{lines}", 1))
    await world.until_in("SUCCEEDED", (mine, job))
    assert f"by {mine.unix_user}\n" in await world.output(mine, job)
    [row] = await world.check_books()
    assert (row.user, row.account, row.qos) == (mine.unix_user, mine.slug, "normal")
    assert (row.tres["gres/gpu"], row.tres["node"]) == (1, 1)


DIRECTIVES = (
    "#SBATCH --uid=0",
    "#SBATCH --partition=debug\n#SBATCH --account=root --bcast",
    "#SBATCH --get-user-env",
    "#SBATCH --array=0-99999",
    "#SBATCH --time=9999999999999",
    "#SBATCH --gres=fpga:1",
    "#SBATCH --dependency=expand:1",
    "#SBATCH --no-such-option=1",
)


@pytest.mark.parametrize("lines", DIRECTIVES)
def test_a_directive_that_cannot_be_kept_is_named_before_anything_is_sent(lines: str, tmp_path: Path) -> None:
    """Nothing listens there: whatever was sent would be Unavailable."""
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/bash\n{lines}\n#SBATCH --time=1\ntrue\n")
    with Client("http://127.0.0.1:9", "token", environment={}) as client, pytest.raises(UsageError) as refused:
        client.submit(script, offering=OFFERING, gpus=1)
    assert refused.value.code in {"bad-script", "usage"}
    assert has_japanese(messages_ja.MESSAGES[refused.value.key])
