"""What waits, by number: as columns where a row says all there is to say of a job, else as it was told. Pure.

A leader begins with the columns of the whole queue. None of these rows becomes an object before it is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from hpc_adapters.contract import Resources
from pricing.model import ServiceClass
from scheduler.core.branches import Leaf
from scheduler.core.rows import Rows
from scheduler.core.snapshot import Waiting

EPOCH_YEAR = 2000


class Shape(Protocol):
    """What many jobs ask for alike."""

    @property
    def backend(self) -> str: ...

    @property
    def needs(self) -> Resources: ...

    @property
    def service_class(self) -> ServiceClass: ...


class Columns(Protocol):
    """One entry a job in each column, in ascending order of seq, which is its number."""

    @property
    def seq(self) -> NDArray[np.int64]: ...

    @property
    def leaf(self) -> NDArray[np.intp]: ...

    @property
    def shape(self) -> NDArray[np.intp]: ...

    @property
    def array(self) -> NDArray[np.intp]:
        """Below 0: it is no task of one."""

    @property
    def walltime_s(self) -> NDArray[np.int32]: ...

    @property
    def micro_nu(self) -> NDArray[np.int64]: ...

    @property
    def submitted_us(self) -> NDArray[np.int64]:
        """Since the beginning of the year 2000, UTC."""

    @property
    def leaves(self) -> Sequence[Leaf]: ...

    @property
    def shapes(self) -> Sequence[Shape]: ...

    def id_of(self, index: int) -> UUID: ...

    def waiting(self, index: int) -> Waiting: ...


class Queued:
    """Like a dictionary of jobs by number."""

    def __init__(self, columns: Columns | None = None) -> None:
        self._told: dict[int, Waiting] = {}
        self._columns = columns
        self._rows = Rows(np.zeros(0, dtype=np.int64) if columns is None else columns.seq)

    def __len__(self) -> int:
        return len(self._told) + self._rows.left

    def __bool__(self) -> bool:
        return len(self) > 0

    def __contains__(self, number: int) -> bool:
        return number in self._told or self._rows.find(number) is not None

    def __getitem__(self, number: int) -> Waiting:
        found = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    def __setitem__(self, number: int, job: Waiting) -> None:
        self._drop(number)
        self._told[number] = job

    def get(self, number: int) -> Waiting | None:
        told = self._told.get(number)
        if told is not None:
            return told
        index = self._rows.find(number)
        return None if index is None or self._columns is None else self._columns.waiting(index)

    def pop(self, number: int) -> Waiting | None:
        found = self.get(number)
        self._told.pop(number, None)
        self._drop(number)
        return found

    def told(self) -> Iterator[tuple[int, Waiting]]:
        """Those that are no rows of columns."""
        return iter(list(self._told.items()))

    def jobs(self) -> Iterator[Waiting]:
        """All of them, as objects."""
        yield from list(self._told.values())
        columns, rows = self.rows() or (None, ())
        for index in rows:
            assert columns is not None
            yield columns.waiting(int(index))

    def tell(self, chosen: NDArray[Any]) -> None:
        """These rows, by their places, are objects from now on."""
        for index in self._rows.here_of(np.flatnonzero(chosen)).tolist():
            assert self._columns is not None
            self[int(self._columns.seq[index])] = self._columns.waiting(index)

    def rows(self) -> tuple[Columns, NDArray[Any]] | None:
        """The columns, and the places of the rows that still wait. None: there are none."""
        return (self._columns, self._rows.here()) if self._columns is not None and self._rows.left else None

    def id_of(self, number: int) -> UUID | None:
        """None: it does not wait."""
        if number in self._told:
            return self._told[number].attempt_id
        index = self._rows.find(number)
        return None if index is None or self._columns is None else self._columns.id_of(index)

    def classes(self) -> Counter[ServiceClass]:
        """How many of each. A step for each that is no row."""
        counts = Counter(job.service_class for job in self._told.values())
        if self._columns is not None:
            shapes, here = self._columns.shapes, self._columns.shape[self._rows.here()]
            for shape, count in enumerate(np.bincount(here, minlength=len(shapes)).tolist()):
                counts[shapes[shape].service_class] += count
        return counts

    def micro_nu(self, number: int) -> int:
        """Full size of such a row; 0: it is none."""
        index = self._rows.find(number)
        return 0 if index is None or self._columns is None else int(self._columns.micro_nu[index])

    def _drop(self, number: int) -> None:
        if self._rows.drop(number) is not None and not self._rows.left:
            self._columns = None
