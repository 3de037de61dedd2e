"""Which rows belong to one snapshot, and when it was taken.

A snapshot is all backends at one instant, but its rows may bear slightly different times (`clock_timestamp()`), or none
at all. Rows arrive in the order of the source, in pieces; the state between pieces is the snapshot still open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SNAPSHOT_GAP_US: Final = 500_000
"""Rows further apart than this are of two snapshots. One query's rows differ by microseconds, milliseconds where the
client is slow; people take a snapshot once a second at the most. Closer ones are told apart by their backend ids."""

NO_ID: Final = -1


class Snapshots:
    """Gives the rows of a source with times one instant for each snapshot: that of its first row."""

    def __init__(self) -> None:
        self._started: int | None = None
        self._last = 0
        self._seen: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.doubles = 0

    def assign(
        self, times: NDArray[np.int64], ids: NDArray[np.int64], anew: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the instant of each row and whether the row is to be kept.

        `times` are microseconds, `ids` backend ids (NO_ID where unknown), `anew` marks rows right after a header. A
        backend that stands twice in one snapshot (a join that multiplied rows) is kept once.
        """
        count = len(times)
        begins = anew.copy()
        gaps = np.diff(times)
        begins[1:] |= (gaps > SNAPSHOT_GAP_US) | (gaps < 0)
        if self._started is None:
            begins[0] = True
        else:
            gap = int(times[0]) - self._last
            begins[0] |= gap > SNAPSHOT_GAP_US or gap < 0
        kept = np.ones(count, dtype=bool)
        self._part_by_ids(times, ids, begins, kept)
        first = np.flatnonzero(begins)
        group = np.cumsum(begins) - 1
        instants = times[first][group] if len(first) else np.empty(count, dtype=np.int64)
        if not begins[0] and self._started is not None:
            instants[group < 0] = self._started
        self._remember(times, ids, first, instants)
        self.doubles += int(count - kept.sum())
        return instants, kept

    def _part_by_ids(
        self, times: NDArray[np.int64], ids: NDArray[np.int64], begins: NDArray[np.bool_], kept: NDArray[np.bool_]
    ) -> None:
        """Begin a snapshot where a backend stands again, or drop the row where it is the same moment."""
        group = np.cumsum(begins, dtype=np.int64)
        known = np.flatnonzero(ids != NO_ID)
        keys = (group[known] << 40) | (ids[known] & ((1 << 40) - 1))
        ordered = np.sort(keys)
        repeated = set((ordered[1:][ordered[1:] == ordered[:-1]] >> 40).tolist())
        if not begins[0] and np.isin(ids[group == 0], self._seen).any():
            repeated.add(0)
        for number in sorted(repeated):
            inside = np.flatnonzero(group == number) if len(repeated) < 50 else _span(group, number)
            seen = set(self._seen.tolist()) if number == 0 else set()
            started = self._started if number == 0 and self._started is not None else int(times[inside[0]])
            before = int(self._seen[-1]) if number == 0 and len(self._seen) else NO_ID
            for index, backend in zip(inside.tolist(), ids[inside].tolist(), strict=True):
                if backend != NO_ID and backend in seen:
                    if int(times[index]) == started or backend == before:
                        kept[index] = False
                        continue
                    begins[index] = True
                    started = int(times[index])
                    seen = set()
                seen.add(backend)
                before = backend

    def _remember(
        self, times: NDArray[np.int64], ids: NDArray[np.int64], first: NDArray[np.intp], instants: NDArray[np.int64]
    ) -> None:
        self._last = int(times[-1])
        self._started = int(instants[-1])
        if len(first):
            self._seen = ids[first[-1] :]
        else:
            self._seen = np.concatenate([self._seen, ids])


def _span(group: NDArray[np.int64], number: int) -> NDArray[np.intp]:
    """Return the indices of one group; groups ascend."""
    return np.arange(np.searchsorted(group, number, "left"), np.searchsorted(group, number, "right"))


def part_untimed(ids: NDArray[np.int64], anew: NDArray[np.bool_], seen: set[int]) -> NDArray[np.bool_]:
    """Say which rows of a source without times begin a snapshot: after a header, and where a backend stands again.

    A backend that repeats the row right before it is a join's doing and begins nothing. `seen` holds the backends of the
    snapshot still open and is brought up to date.
    """
    begins = anew.copy()
    before = NO_ID
    for index, backend in enumerate(ids.tolist()):
        if begins[index] or (backend != NO_ID and backend in seen and backend != before):
            begins[index] = True
            seen.clear()
        seen.add(backend)
        before = backend
    return begins
