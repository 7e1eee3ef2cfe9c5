"""Pure parts of what a job leaves: valid text from bytes, bars from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import LogChunk
from portal.joblogs import as_text
from portal.loopback import is_loopback
from portal.pages.histogram import MOST_BARS, histogram


def _chunk(data: bytes, *, ended: bool, offset: int = 0) -> LogChunk:
    return LogChunk(data=data, offset=offset, next_offset=offset + len(data), ended=ended)


@given(st.text(), st.integers(min_value=1, max_value=7))
def test_text_that_is_read_in_pieces_is_whole(text: str, size: int) -> None:
    data, offset, found = text.encode("utf-8", "surrogatepass"), 0, ""
    while offset < len(data):
        taken = data[offset : offset + max(size, 4)]
        piece = as_text(_chunk(taken, ended=offset + len(taken) == len(data), offset=offset))
        assert piece.next_offset > offset
        found, offset = found + piece.text, piece.next_offset
    assert found == data.decode("utf-8", "replace")


@given(st.binary())
def test_any_bytes_become_valid_text(data: bytes) -> None:
    piece = as_text(_chunk(data, ended=True))
    piece.text.encode()
    assert piece.next_offset == len(data)


def test_a_torn_character_waits_for_its_rest_while_the_stream_goes_on() -> None:
    torn = "語".encode()[:2]
    assert as_text(_chunk(torn, ended=False)).next_offset == 0
    assert as_text(_chunk(torn, ended=True)).text == "\ufffd"


def test_counts_become_bars_by_outcome() -> None:
    bars = histogram({"11": 30, "00": 10})
    assert bars is not None
    assert [(bar.outcome, bar.count, bar.share) for bar in bars.bars] == [("00", 10, 0.25), ("11", 30, 0.75)]
    assert bars.bars[1].width == 3 * bars.bars[0].width
    assert (bars.total, bars.rest, bars.outcomes) == (40, 0, 2)


def test_of_many_outcomes_the_most_frequent_are_drawn() -> None:
    bars = histogram({f"{n:08b}": n + 1 for n in range(100)})
    assert bars is not None
    assert len(bars.bars) == MOST_BARS
    assert bars.rest == sum(range(1, 101 - MOST_BARS))


@pytest.mark.parametrize("counts", [{}, {"0": 0}, {"0": -1}, {"0": "1"}, {"0": True}, {"0": 1.5}, {"0": None}])
def test_what_is_no_counts_is_not_drawn(counts: dict[str, object]) -> None:
    assert histogram(counts) is None


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        (("127.0.0.1", 1), [], True),
        (("::1", 1), [], True),
        (("10.0.0.1", 1), [], False),
        (("127.0.0.1", 1), [(b"x-forwarded-for", b"203.0.113.9")], False),
        (("127.0.0.1", 1), [(b"forwarded", b"for=203.0.113.9")], False),
        (None, [], False),
        (("testclient", 1), [], False),
    ],
)
def test_only_this_machine_is_this_machine(
    client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]], *, local: bool
) -> None:
    assert is_loopback({"type": "http", "client": client, "headers": headers}) is local
