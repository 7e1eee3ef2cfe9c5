"""Reading of JSON that differs from version to version: what cannot be read is None or empty, never an exception.

A number is plain, or {"set", "infinite", "number"} since v0.0.39; a state is a word, or a list of words since v0.0.40;
-2 and 4294967294 and their wider kin stand for "no value". A record without what identifies it is an `Unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Json = Mapping[str, object]
_NO_VALUES: Final = frozenset({2**bits - missing for bits in (32, 64) for missing in (1, 2)})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_S: Final = 253_402_300_799
"""The last second of the year 9999."""
_TRES: Final = re.compile(r"([a-z]+(?:/[^=,]+)?)=(\d{1,18})(\.\d+)?([KMGTP]?)[BN]?")
_MEGABYTES: Final = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
_THOUSANDS: Final = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "P": 1000**5}


class NotReadable(ValueError):
    """A record without what identifies it. Names the field, and no text of a tenant's."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that we cannot read: told apart, so that the others count and nobody takes this one for gone."""

    why: str
    native_id: str = ""


@dataclass(frozen=True, slots=True)
class Records(Generic[T]):
    """What an answer held: what could be read, and what could not."""

    items: tuple[T, ...]
    unreadable: tuple[Unreadable, ...] = ()


def records(value: object, parse: Callable[[Json], T], *, id_field: str) -> Records[T]:
    """Each element by itself: one bad one spoils no other. No list at all is one unreadable record."""
    if not isinstance(value, list):
        return Records((), (Unreadable("not-a-list"),))
    good: list[T] = []
    bad: list[Unreadable] = []
    for element in value:
        try:
            good.append(parse(as_mapping(element, name="record")))
        except NotReadable as why:
            bad.append(Unreadable(str(why), text(mapping(element).get(id_field))[:64]))
    return Records(tuple(good), tuple(bad))


def as_mapping(value: object, *, name: str) -> Json:
    """An object, or NotReadable."""
    if not isinstance(value, Mapping):
        raise NotReadable(f"no-{name}")
    return value


def mapping(value: object, *path: str) -> Json:
    """The object at the end of the path; empty where there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def number(value: object) -> int | None:
    """A whole number; None for unset, infinite, "no value" and anything else."""
    if isinstance(value, dict):
        is_given = value.get("set", True) is True and value.get("infinite", False) is not True
        return number(value.get("number")) if is_given else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(2**64)):
        value = int(value)
    if isinstance(value, float) and isfinite(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or value in _NO_VALUES:
        return None
    return value


def count(value: object) -> int:
    """A whole number, 0 where there is none."""
    return number(value) or 0


def is_infinite(value: object) -> bool:
    """Whether it says "no limit"."""
    return mapping(value).get("infinite") is True or value in ("UNLIMITED", "INFINITE")


def text(value: object) -> str:
    """A string; a plain number as its digits; else empty. Control characters are kept: it is never shown as it is."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def words(value: object) -> tuple[str, ...]:
    """State and flag words in capitals: a list of them, one word, or several joined by '+', ',' or a blank."""
    if isinstance(value, str):
        value = re.split(r"[+, ]+", value)
    if not isinstance(value, list):
        return ()
    upper = (word.strip().upper() for word in value if isinstance(word, str))
    return tuple(dict.fromkeys(word for word in upper if word))


def instant(value: object) -> datetime | None:
    """Seconds since 1970, 0 for "not yet"."""
    seconds = number(value)
    return _EPOCH + timedelta(seconds=seconds) if seconds and seconds <= _LATEST_S else None


def tres(value: object) -> dict[str, int]:
    """Trackable resources by their name ('cpu', 'mem' in MiB, 'gres/gpu', 'gres/gpu:h200', 'license/x').

    Slurm writes them as 'cpu=4,mem=2G,gres/gpu=2' and as a list of {type, name, count}.
    """
    if isinstance(value, str):
        return dict(_tres_of_text(value))
    return dict(_tres_of_list(value)) if isinstance(value, list) else {}


def _tres_of_text(value: str) -> Iterable[tuple[str, int]]:
    for part in value.split(","):
        found = _TRES.fullmatch(part.strip())
        if found is None:
            continue
        name, whole, fraction, unit = found.groups()
        scale = (_MEGABYTES if name == "mem" else _THOUSANDS)[unit]
        yield name, int(float(whole + fraction) * scale) if fraction else int(int(whole) * scale)


def _tres_of_list(value: list[object]) -> Iterable[tuple[str, int]]:
    for element in value:
        entry = mapping(element)
        kind, name, amount = text(entry.get("type")), text(entry.get("name")), number(entry.get("count"))
        if kind and amount is not None:
            yield (f"{kind}/{name}" if name else kind), amount
