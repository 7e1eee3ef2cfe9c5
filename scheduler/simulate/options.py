"""Words of a command line as a setting, or a refusal that names the option. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.policies import POLICIES
from scheduler.simulate.rows import MAX_GPUS
from scheduler.simulate.shares import MAX_WEIGHT
from scheduler.simulate.workload import Estimate

_DAYS = re.compile(r"(\d{1,6})-(\d{1,6})")
_CHANGE = re.compile(r"(.+)=(\+?\d{1,9})")
_MILLI = 1000


def policy(word: str) -> str:
    """A policy's name."""
    if word not in POLICIES:
        raise ExperimentRefused(option="--policy", value=word, problem="unknown_policy", known=", ".join(POLICIES))
    return word


def policies(words: str) -> list[str]:
    """Names with commas between."""
    named = [word.strip() for word in words.split(",") if word.strip()]
    return [policy(word) for word in dict.fromkeys(named or [words])]


def gpus(value: int) -> int:
    """At least one."""
    return in_range("--gpus", value, 1, MAX_GPUS)


def nodes_of(value: int, *, gpus: int) -> int:
    """GPUs of a node; 0: a plain pool. The machine is whole nodes."""
    in_range("--nodes-of", value, 0, gpus)
    if value and gpus % value:
        raise ExperimentRefused(option="--nodes-of", value=value, problem="out_of_range", known=f"divisors of {gpus}")
    return value


def in_range(option: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ExperimentRefused(option=option, value=value, problem="out_of_range", known=f"{least}–{most}")
    return value


def estimate(word: str) -> Estimate:
    if word not in set(Estimate):
        raise ExperimentRefused(option="--estimate", value=word, problem="not_read", known=" | ".join(Estimate))
    return Estimate(word)


def days(word: str | None) -> tuple[int, int] | None:
    """'30-60': the 31st day to the 60th, from the first submission; None: all."""
    if word is None:
        return None
    found = _DAYS.fullmatch(word.strip())
    if found is None or int(found[1]) >= int(found[2]):
        raise ExperimentRefused(option="--days", value=word, problem="not_read", known="A-B (A < B)")
    return int(found[1]), int(found[2])


def rates(words: Sequence[str]) -> dict[str, int]:
    """'helmi=40': one hour of this QPU is worth 40 NU. In milli-NU."""
    table: dict[str, int] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            milli = Decimal(value) * _MILLI
        except InvalidOperation:
            milli = Decimal(0)
        if not name or not milli.is_finite() or not 1 <= milli <= Decimal(10) ** 9:
            raise ExperimentRefused(option="--rate", value=word, problem="not_read", known="QPU=NU (0.001–1000000)")
        table[name] = int(milli)
    return table


def changes(words: str) -> tuple[dict[str, int], int | None]:
    """'org03=2,gpus=+8': weights, and how many GPUs more; None: as many as before."""
    weights: dict[str, int] = {}
    more: int | None = None
    for word in filter(None, (each.strip() for each in words.split(","))):
        found = _CHANGE.fullmatch(word)
        if found is None or (found[2].startswith("+") != (found[1] == "gpus")):
            raise ExperimentRefused(option="--what-if", value=word, problem="not_read", known="ORG=2,gpus=+8")
        if found[1] == "gpus":
            more = int(found[2])
        else:
            weights[found[1]] = in_range("--what-if", int(found[2]), 1, MAX_WEIGHT)
    return weights, more


def sizes(words: Sequence[str]) -> tuple[int, int]:
    """'--gpus 576 --gpus +8': the machine, and so many more to try (0: none)."""
    base = [word for word in words if word.isdecimal() and len(word) <= len(str(MAX_GPUS))]
    more = [word for word in words if re.fullmatch(r"\+\d{1,8}", word)]
    if len(base) != 1 or len(more) > 1 or len(base) + len(more) != len(words):
        raise ExperimentRefused(option="--gpus", value=" ".join(words), problem="not_read", known="N, or N and +M")
    return gpus(int(base[0])), int(more[0]) if more else 0


def language(word: str) -> str:
    """Of a report."""
    if word not in {"ja", "en"}:
        raise ExperimentRefused(option="--language", value=word, problem="not_read", known="ja | en")
    return word
