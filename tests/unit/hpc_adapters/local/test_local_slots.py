from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from hpc_adapters.local.slots import Booking, book, free

TOTAL = Resources(gpus=4, cpus=8, memory_mb=4096)
SIZES = st.builds(
    Resources, gpus=st.integers(0, 5), cpus=st.integers(0, 9), memory_mb=st.integers(0, 5000), qpus=st.just(0)
)


def test_a_booking_takes_the_lowest_free_units() -> None:
    held = [Booking(Resources(gpus=1), (0,)), Booking(Resources(gpus=1), (2,))]
    assert book(TOTAL, held, Resources(gpus=2)) == Booking(Resources(gpus=2), (1, 3))


def test_without_room_there_is_no_booking() -> None:
    held = [Booking(Resources(cpus=7), ())]
    assert book(TOTAL, held, Resources(cpus=2)) is None


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=40))
def test_bookings_never_exceed_the_machine_and_share_no_unit(wishes: list[tuple[Resources, bool]]) -> None:
    held: list[Booking] = []
    for asked, one_ends in wishes:
        booking = book(TOTAL, held, asked)
        assert (booking is not None) == asked.fits(free(TOTAL, held))
        held += [booking] if booking else []
        if one_ends and held:
            held.pop(0)
        left = free(TOTAL, held)
        assert min(left.gpus, left.cpus, left.memory_mb) >= 0
        units = [unit for booking in held for unit in booking.gpu_units]
        assert len(units) == len(set(units)) == TOTAL.gpus - left.gpus
        assert set(units) <= set(range(TOTAL.gpus))
