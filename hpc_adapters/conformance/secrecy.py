"""For adapters that hide members' secrets in what their jobs print and leave."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest

from hpc_adapters.conformance.harness import Act, Harness
from hpc_adapters.contract import Feature, JobRequest, Script, Seen, Stream

HALVES = ("hunter2-ひみつ", "-is-my-secret")
SECRET = "".join(HALVES)
STARS = b"*" * len(SECRET.encode())
BODY = f"""\
#!/bin/sh
printf %s "$TOKEN" | sha256sum
printf %s "${{TOKEN%{HALVES[1]}}}"
sleep 1
printf '%s, it is\\n' '{HALVES[1]}'
printf 'no: %s' "$TOKEN" >&2
printf '{{"said": "%s"}}' "$TOKEN" >"$KYOYO_RESULT"
"""


class SecrecyConformance:
    """Override the fixture `harness`."""

    @pytest.fixture
    def harness(self) -> Harness:
        raise NotImplementedError

    async def test_a_secret_that_a_job_prints_comes_out_of_no_stream(self, harness: Harness) -> None:
        assert Feature.SECRETS in harness.backend.capabilities().features
        request = telling(harness)
        ref = await harness.backend.submit(request)
        followed = await harness.read(ref, Stream.STDOUT, limit=7)  # from its start on, and its halves a second apart
        assert (await harness.until_ended(ref)).seen is Seen.SUCCEEDED
        digest = sha256(SECRET.encode()).hexdigest().encode()
        assert followed == digest + b"  -\n" + STARS + b", it is\n"
        await harness.restart()  # who reads is another process than who submitted
        for limit in (5, 65_536):
            assert await harness.read(ref, Stream.STDOUT, limit=limit) == followed
            assert await harness.read(ref, Stream.STDERR, limit=limit) == b"no: " + STARS
            assert json.loads(await harness.read(ref, Stream.RESULT, limit=limit)) == {"said": STARS.decode()}


def telling(harness: Harness) -> JobRequest:
    """A job that has a secret and prints it."""
    request = harness.request(Act.SUCCEED)
    assert isinstance(request.payload, Script)
    return replace(request, payload=replace(request.payload, body=BODY.encode(), secrets={"TOKEN": SECRET}))
