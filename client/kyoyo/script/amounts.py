"""Counts, memory, GPUs with their type, licences: sbatch's grammars. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from kyoyo.errors import UsageError

_COUNT_DIGITS = 9  # no such number of anything exists
_MEMORY = re.compile(r"(?P<number>\d{1,15})\s*(?P<unit>[kmgt])?b?", re.ASCII | re.IGNORECASE)
_KB = {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}
_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]{0,63}", re.ASCII)
_LICENCE = re.compile(r"(?P<name>[A-Za-z0-9_.@-]{1,64}?)(?:[:=](?P<count>\d{1,9}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Gpus:
    """So many GPUs, of one type where that was said."""

    count: int
    kind: str | None = None


class Per(Enum):
    """What an amount of memory is counted by."""

    NODE = "mem"
    CPU = "mem-per-cpu"
    GPU = "mem-per-gpu"


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MiB; 0 for each node: all that there is."""

    mb: int
    per: Per


def count(value: str, *, option: str, least: int = 0) -> int:
    """A whole number. UsageError."""
    if not value.isascii() or not value.isdecimal() or len(value) > _COUNT_DIGITS or int(value) < least:
        raise UsageError(key="wrong.count", option=option, value=repr(value))
    return int(value)


def nodes(value: str) -> int:
    """N or N-N: how many nodes is not left to chance, for the price depends on it. UsageError."""
    least, dash, most = value.partition("-")
    if dash and least != most:
        raise UsageError(key="wrong.nodes", value=value)
    return count(least, option="--nodes", least=1)


def memory(value: str, per: Per) -> Memory:
    """Megabytes without a unit, or K, M, G, T; rounded up to MiB. UsageError."""
    found = _MEMORY.fullmatch(value.strip())
    if found is None:
        raise UsageError(key="wrong.memory", option=f"--{per.value}", value=repr(value))
    kilobytes = int(found["number"]) * _KB[(found["unit"] or "m").lower()]
    if kilobytes == 0 and per is not Per.NODE:
        raise UsageError(key="wrong.memory", option=f"--{per.value}", value=repr(value))
    return Memory(-(-kilobytes // 1024), per)


def gpus(value: str, *, option: str) -> Gpus:
    """N or type:N. UsageError."""
    kind, colon, number = value.rpartition(":")
    if colon and _TYPE.fullmatch(kind) is None:
        raise UsageError(key="wrong.gpus", option=option, value=value)
    return Gpus(count(number, option=option), kind or None)


def gres(value: str) -> Gpus:
    """gpu, gpu:N, gpu:type, gpu:type:N. Nothing else than GPUs is offered. UsageError."""
    match value.removeprefix("gres/").replace("=", ":").split(":"):
        case ["gpu"]:
            return Gpus(1)
        case ["gpu", number] if number.isdecimal():
            return Gpus(count(number, option="--gres"))
        case ["gpu", kind] if _TYPE.fullmatch(kind):
            return Gpus(1, kind)
        case ["gpu", kind, number] if _TYPE.fullmatch(kind):
            return Gpus(count(number, option="--gres"), kind)
        case _:
            raise UsageError(key="wrong.gres", value=value)


def licenses(value: str) -> Mapping[str, int]:
    """name[:count],…: all of them. UsageError, also for alternatives (`|`), which have no one price."""
    found: dict[str, int] = {}
    for part in value.split(","):
        licence = _LICENCE.fullmatch(part.strip())
        if licence is None:
            raise UsageError(key="wrong.licenses", value=value)
        found[licence["name"]] = found.get(licence["name"], 0) + int(licence["count"] or 1)
    if not all(found.values()):
        raise UsageError(key="wrong.licenses", value=value)
    return found
