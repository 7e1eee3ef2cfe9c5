"""What a tenant reads of why its job waits."""

from __future__ import annotations

import pytest

from portal.api.jobrecord import waiting_out
from portal.language import Language
from scheduler.core.explain import Sentence
from scheduler.core.reasons import Why
from scheduler.views import WaitingView

HERE = {"needed": {"gpus": 8}, "free": {"gpus": 2}}


@pytest.mark.parametrize(
    ("would", "told"),
    [
        ({"gpus": 2, "backends": ["abroad"]}, {"would": {"gpus": 2}}),
        ({"backends": ["abroad"]}, {}),
        ({"limit_s": 600}, {"would": {"limit_s": 600}}),
        (None, {"would": None}),
    ],
)
def test_machines_that_it_may_not_go_to_are_not_named(would: object, told: dict[str, object]) -> None:
    view = WaitingView(reason=Why.NO_CAPACITY, facts={**HERE, "would": would}, sentence=Sentence("", ""))
    out = waiting_out(view, Language.EN)
    assert out is not None
    assert out.facts == {**HERE, **told}
