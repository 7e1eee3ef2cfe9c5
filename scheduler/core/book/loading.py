"""The columns of a queue as the engine takes them: numbers of leaves and shapes instead of what they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricing.model import ServiceClass
from scheduler.core.book.footing import footing_of, tier_of
from scheduler.core.book.leaves import Asker, Leaves
from scheduler.core.book.queued import EPOCH_YEAR
from scheduler.core.book.queued import Columns as Queue
from scheduler.core.book.seconds import Clock
from scheduler.core.columns import Columns
from scheduler.core.hall import Hall
from scheduler.core.shapes import Shapes

_MICRO = 1_000_000


class Tables:
    """Of all that is different in a queue, once; its branches must be known."""

    def __init__(self, queue: Queue, leaves: Leaves, shapes: Shapes, halls: Mapping[str, Hall], clock: Clock) -> None:
        self._queue = queue
        kinds = queue.shapes
        self._backend = np.array([each.backend for each in kinds], dtype=object)
        self._shape = np.array(
            [shapes.of(each.needs, footing=footing_of(each.service_class)) for each in kinds], dtype=np.int64
        )
        self._units = np.array(
            [max(1, halls[each.backend].units_of(each.needs)) if each.backend in halls else 0 for each in kinds],
            dtype=np.int64,
        )
        self._tier = np.array([tier_of(footing_of(each.service_class)) for each in kinds], dtype=np.int64)
        self._hurried = np.array([each.service_class is ServiceClass.INTERACTIVE for each in kinds], dtype=np.int64)
        self._nodes = np.array(
            [
                [leaves.known_asker(Asker(leaf, is_hurried=hurried)) for hurried in (False, True)]
                for leaf in queue.leaves
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        epoch = datetime(EPOCH_YEAR, 1, 1, tzinfo=UTC)
        self._offset_us = (epoch - clock.origin) // timedelta(microseconds=1)

    def of(self, backend: str, rows: NDArray[Any]) -> Columns:
        """What waits for one machine, of these rows."""
        queue = self._queue
        chosen = rows[(self._backend == backend)[queue.shape[rows]]]
        shape = queue.shape[chosen]
        return Columns(
            number=queue.seq[chosen],
            leaf=self._nodes[queue.leaf[chosen], self._hurried[shape]],
            units=self._units[shape],
            limit_s=queue.walltime_s[chosen].astype(np.int64),
            submitted_s=(queue.submitted_us[chosen] + self._offset_us) // _MICRO,
            shape=self._shape[shape],
            tier=self._tier[shape],
        )
