"""Words of a command line as a setting, or a refusal that names the option. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, TypeVar

from infra.tokyo import TOKYO
from scheduler.simulate.errors import ExperimentRefused
from scheduler.simulate.policies import POLICIES
from scheduler.simulate.rows import MAX_GPUS
from scheduler.simulate.shares import MAX_WEIGHT
from scheduler.simulate.workload import UNNAMED, Estimate

_DAYS = re.compile(r"(\d{1,6})-(\d{1,6})")
_CHANGE = re.compile(r"(.+)=(\+?\d{1,9})", re.ASCII)
_SIZE = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<plus>\+)?(?P<count>\d{1,8})", re.ASCII)
_MILLI = 1000
Amount = TypeVar("Amount", int, float)


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


def nodes_of(value: int, *, pools: Iterable[int]) -> int:
    """GPUs of a node; 0: plain pools. Every pool, of so many GPUs, is whole nodes."""
    for units in pools:
        in_range("--nodes-of", value, 0, units)
        if value and units % value:
            raise ExperimentRefused(
                option="--nodes-of", value=value, problem="out_of_range", known=f"divisors of {units}"
            )
    return value


def in_range(option: str, value: Amount, least: float, most: float) -> Amount:
    if not least <= value <= most:
        raise ExperimentRefused(option=option, value=value, problem="out_of_range", known=f"{least}–{most}")
    return value


def target(option: str, path: Path) -> Path:
    """Where something will be written: asked before a long replay, not after it."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ExperimentRefused(option=option, value=str(path), problem="not_written", known="")
    return path


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


def qpus(words: Sequence[str]) -> dict[str, int]:
    """'helmi=2': there are two of this name."""
    table: dict[str, int] = {}
    for word in words:
        found = _SIZE.fullmatch(word)
        if found is None or not found["name"] or found["plus"]:
            raise ExperimentRefused(option="--qpus", value=word, problem="not_read", known="QPU=N")
        table[found["name"]] = in_range("--qpus", int(found["count"]), 1, MAX_GPUS)
    return table


def changes(words: str) -> tuple[dict[str, int], dict[str, int]]:
    """'org03=2,gpus=+8': weights, and how many units of which machine more ('gpus': of the only one)."""
    weights: dict[str, int] = {}
    more: dict[str, int] = {}
    for word in filter(None, (each.strip() for each in words.split(","))):
        found = _CHANGE.fullmatch(word)
        if found is None or (found[1] == UNNAMED and not found[2].startswith("+")):
            raise ExperimentRefused(option="--what-if", value=word, problem="not_read", known="ORG=2,gpus=+8")
        if found[2].startswith("+"):
            more[found[1]] = in_range("--what-if", int(found[2]), 0, MAX_GPUS)
        else:
            weights[found[1]] = in_range("--what-if", int(found[2]), 1, MAX_WEIGHT)
    return weights, more


class Sizes(NamedTuple):
    """GPUs of the machine without a name (None: not told), of those that have one, and so many more to try."""

    gpus: int | None
    pools: Mapping[str, int]
    more: int = 0


def sizes(words: Sequence[str]) -> Sizes:
    """'--gpus 576 --gpus +8': one machine; '--gpus north=64 --gpus south=32': several."""
    plain, more, pools = list[int](), list[int](), dict[str, int]()
    for word in words:
        found = _SIZE.fullmatch(word)
        is_again = found is not None and found["name"] in pools
        if found is None or is_again or (found["name"] and found["plus"]):
            raise ExperimentRefused(option="--gpus", value=word, problem="not_read", known="N | NAME=N | +M")
        if found["name"]:
            pools[found["name"]] = gpus(int(found["count"]))
        else:
            (more if found["plus"] else plain).append(int(found["count"]))
    if len(plain) > 1 or len(more) > 1:
        raise ExperimentRefused(option="--gpus", value=" ".join(words), problem="not_read", known="N | NAME=N | +M")
    return Sizes(gpus(plain[0]) if plain else None, pools, more[0] if more else 0)


def span(since: str | None, until: str | None, *, now: datetime) -> tuple[datetime, datetime]:
    """From the beginning of one day in Japan to before that of another; else from ever, and until now."""
    first = datetime.fromtimestamp(0, UTC) if since is None else _day("--from", since)
    end = now if until is None else _day("--to", until)
    if first >= end:
        raise ExperimentRefused(option="--from", value=since, problem="out_of_range", known=f"… {until or 'now'}")
    return first, end


def _day(option: str, word: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(word), time(), TOKYO)
    except ValueError:
        raise ExperimentRefused(option=option, value=word, problem="not_read", known="2026-10-01") from None


def language(word: str) -> str:
    """Of a report."""
    if word not in {"ja", "en"}:
        raise ExperimentRefused(option="--language", value=word, problem="not_read", known="ja | en")
    return word
