from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyoyo.errors import UsageError
from kyoyo.script import amounts
from kyoyo.script.amounts import Gpus, Memory, Per
from kyoyo.script.arrays import MAX_TASKS, Array, array_of
from kyoyo.script.exports import exports_of
from kyoyo.script.relations import Dependency, SignalWish, dependencies_of, signal_of


@pytest.mark.parametrize(
    ("text", "mb"),
    [("4000", 4000), ("16G", 16_384), ("1T", 1_048_576), ("512m", 512), ("1K", 1), ("1025K", 2), ("16GB", 16_384)],
)
def test_memory_is_in_megabytes_rounded_up(text: str, mb: int) -> None:
    assert amounts.memory(text, Per.GPU) == Memory(mb, Per.GPU)


def test_no_memory_means_all_of_a_node_and_nothing_else() -> None:
    assert amounts.memory("0", Per.NODE) == Memory(0, Per.NODE)
    with pytest.raises(UsageError, match="--mem-per-cpu"):
        amounts.memory("0", Per.CPU)


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu", Gpus(1)),
        ("gpu:4", Gpus(4)),
        ("gpu:h200", Gpus(1, "h200")),
        ("gpu:h200:4", Gpus(4, "h200")),
        ("gres/gpu:2", Gpus(2)),
        ("gpu=2", Gpus(2)),
    ],
)
def test_gres_names_gpus_with_their_type(text: str, gpus: Gpus) -> None:
    assert amounts.gres(text) == gpus


@pytest.mark.parametrize("text", ["", "gpu:", "gpu:a:b:1", "shard:2", "gpu:2,shard:1", "none", "gpu:-1", "gpu:h200:x"])
def test_gres_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        amounts.gres(text)


def test_licences_add_up() -> None:
    assert amounts.licenses("a:2,b,a@db:3,a") == {"a": 3, "b": 1, "a@db": 3}
    for wrong in ("a|b", "", "a:0", "a:x", "a,,b"):
        with pytest.raises(UsageError):
            amounts.licenses(wrong)


@pytest.mark.parametrize(
    ("text", "array"),
    [
        ("1-3", Array((1, 2, 3))),
        ("0,6,16-18", Array((0, 6, 16, 17, 18))),
        ("0-15:4", Array((0, 4, 8, 12))),
        ("1-100%10", Array(tuple(range(1, 101)), 10)),
        ("3,1,2,1", Array((1, 2, 3))),
        ("7%0", Array((7,))),
    ],
)
def test_an_array_is_its_indices(text: str, array: Array) -> None:
    assert array_of(text) == array


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-5:0", "-1", "1-", "1-2-3", "1%", "1%x", "1,,2", "1-5%2%3", "１"])
def test_an_array_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a list of tasks"):
        array_of(text)


@given(st.integers(MAX_TASKS + 1, 4 * 10**9))
def test_a_huge_array_is_refused_before_it_is_written_out(tasks: int) -> None:
    with pytest.raises(UsageError, match="more than 1,000 tasks"):
        array_of(f"1-{tasks}")


@given(st.sets(st.integers(0, 4_000_000), min_size=1, max_size=50))
def test_any_list_of_indices_comes_back_in_order(indices: set[int]) -> None:
    assert list(array_of(",".join(map(str, indices))).indices) == sorted(indices)


def test_dependencies_are_read_and_what_would_be_guessed_is_refused() -> None:
    job_id = "0192aaaa-0000-4000-8000-00000000000f"
    assert dependencies_of(f"afterok:1:2_3,after:{job_id}") == (
        Dependency("afterok", "1"),
        Dependency("afterok", "2_3"),
        Dependency("after", job_id),
    )
    assert dependencies_of("7") == (Dependency("afterany", "7"),)
    refused = ["afterok:1?afterok:2", "singleton", "aftercorr:1", "after:1+5", "afterok", "afterok:", "afterok:x", ""]
    for wrong in refused:
        with pytest.raises(UsageError):
            dependencies_of(wrong)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("USR1", SignalWish("USR1", 60)),
        ("SIGTERM@120", SignalWish("TERM", 120)),
        ("10@0", SignalWish("USR1", 0)),
        ("B:usr2@90", SignalWish("USR2", 90)),
    ],
)
def test_a_signal_is_a_name_or_a_number(text: str, wish: SignalWish) -> None:
    assert signal_of(text) == wish


@pytest.mark.parametrize("text", ["", "FOO", "99", "USR1@", "USR1@70000", "R:USR1", "B:", "USR1@-1"])
def test_a_signal_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        signal_of(text)


def test_only_named_variables_leave_this_machine() -> None:
    here = {"HOME": "/home", "TOKEN": "secret", "A": "b"}
    assert exports_of("ALL").taken_from(here) == {}
    assert exports_of("ALL").everything
    assert exports_of("NONE").taken_from(here) == {}
    assert exports_of("A,B=c,NOT_SET,D='x,y'").taken_from(here) == {"A": "b", "B": "c", "D": "x,y"}
    for wrong in ("1A", "", "A B", "=x"):
        with pytest.raises(UsageError):
            exports_of(wrong)


@given(st.text())
def test_no_text_raises_anything_but_a_named_refusal(text: str) -> None:
    readers = (amounts.gres, amounts.licenses, amounts.nodes, array_of, dependencies_of, signal_of, exports_of)
    for read in readers:
        with suppress(UsageError):
            read(text)
    with suppress(UsageError):
        amounts.memory(text, Per.NODE)
    with suppress(UsageError):
        amounts.gpus(text, option="--gpus")
