"""The options of sbatch, and its way of reading words: clusters of letters, values after `=` or a space, short forms.

The table is the whole of sbatch 24.11 and 26.05, with what Kyoyo does not honour: a refusal must know which words are
options, which of them take a value, and which short form is ambiguous. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from kyoyo.errors import UsageError


class Takes(Enum):
    """Whether an option has a value."""

    VALUE = "value"
    NOTHING = "nothing"
    PERHAPS = "perhaps"
    """Only when it is written with `=`."""


_WITH_VALUE = """
    account:A acctg-freq array:a batch bb bbf begin:b chdir:D cluster-constraint clusters:M comment constraint:C
    container container-id container-image core-spec:S cores-per-socket cpu-freq cpus-per-gpu cpus-per-task:c
    deadline delay-boot dependency:d distribution:m error:e exclude:x export export-file extra extra-node-info:B gid
    gpu-bind gpu-freq gpus:G gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint input:i job-name:J
    kill-on-invalid-dep licenses:L mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus
    network nodefile:F nodelist:w nodes:N ntasks:n ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket
    open-mode output:o partition:p prefer priority profile qos:q reservation segment signal sockets-per-node
    switches thread-spec threads-per-core time:t time-min tmp tres-bind tres-per-task uid wait-all-nodes wckey wrap
"""
_WITHOUT = """
    contiguous help:h hold:H ignore-pbs no-requeue overcommit:O parsable quiet:Q reboot requeue spread-job stepmgr
    test-only usage use-min-nodes verbose:v version:V wait:W oversubscribe:s
"""
_PERHAPS = "exclusive get-user-env nice no-kill:k oom-kill-step propagate resv-ports"


def _table() -> Iterator[tuple[str, str, Takes]]:
    for words, takes in ((_WITH_VALUE, Takes.VALUE), (_WITHOUT, Takes.NOTHING), (_PERHAPS, Takes.PERHAPS)):
        for word in words.split():
            name, _, letter = word.partition(":")
            yield name, letter, takes


TAKES: Mapping[str, Takes] = {name: takes for name, _, takes in _table()}
BY_LETTER: Mapping[str, str] = {letter: name for name, letter, _ in _table() if letter}
LETTERS: Mapping[str, str] = {name: letter for letter, name in BY_LETTER.items()}


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was given; `value` is None where it has none."""

    name: str
    value: str | None = None


def read_options(words: Sequence[str]) -> tuple[list[Given], list[str]]:
    """Options up to the first word that is none, or to `--`; and the words from there on. UsageError."""
    given: list[Given] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        given += _long(word, rest) if word.startswith("--") else _letters(word, rest)
    return given, rest


def full_name(word: str) -> str:
    """The option that a word or its beginning names. UsageError."""
    if word in TAKES:
        return word
    fitting = sorted(name for name in TAKES if name.startswith(word)) if word else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(key="wrong.ambiguous", option=f"--{word}", fitting=", ".join(f"--{name}" for name in fitting))
    raise UsageError(key="wrong.unknown_option", option=f"--{word}")


def _long(word: str, rest: list[str]) -> Iterator[Given]:
    name, equals, value = word[2:].partition("=")
    name = full_name(name)
    match TAKES[name]:
        case Takes.NOTHING if equals:
            raise UsageError(key="wrong.no_value_taken", option=f"--{name}")
        case Takes.VALUE if not equals:
            yield Given(name, _next(f"--{name}", rest))
        case _:
            yield Given(name, value if equals else None)


def _letters(word: str, rest: list[str]) -> Iterator[Given]:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = BY_LETTER.get(letter)
        if name is None:
            raise UsageError(key="wrong.unknown_option", option=f"-{letter}")
        match TAKES[name]:
            case Takes.VALUE:
                yield Given(name, letters or _next(f"-{letter}", rest))
                return
            case Takes.PERHAPS:
                yield Given(name, letters or None)
                return
            case Takes.NOTHING:
                yield Given(name)


def _next(option: str, rest: list[str]) -> str:
    if not rest:
        raise UsageError(key="wrong.no_value", option=option)
    return rest.pop(0)
