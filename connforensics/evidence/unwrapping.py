"""A source's lines without what surrounds them: slices of wrapped lines into slices of the lines inside, in SQL.

The numbers stay those of the physical lines. Where a wrapper says when a line was taken in, the inner slice tells it as
`received_at`, for formats whose own lines bear no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from connforensics.evidence import times
from connforensics.evidence.tables import scratch, select

if TYPE_CHECKING:
    import pyarrow as pa

    from connforensics.evidence.wrappers import AnyWrapper

MONTHS: Final = (
    ("jan", "янв", "ene", "gen", "sty", "led", "oca"), ("feb", "фев", "fév", "fev", "lut", "úno", "şub"),
    ("mar", "мар", "mär", "mrz", "bře"), ("apr", "апр", "avr", "abr", "kwi", "dub", "nis"),
    ("may", "май", "мая", "mai", "mag", "maj", "kvě"), ("jun", "июн", "jui", "giu", "cze", "čer", "haz"),
    ("jul", "июл", "lug", "lip", "tem"), ("aug", "авг", "aoû", "ago", "sie", "srp", "ağu"),
    ("sep", "сен", "set", "wrz", "zář", "eyl"), ("oct", "окт", "okt", "ott", "out", "paź", "říj", "eki"),
    ("nov", "ноя", "lis", "kas"), ("dec", "дек", "dez", "déc", "dic", "gru", "pro", "ara"),
)  # fmt: skip
"""How months begin in the languages of syslog daemons; where two languages differ, the more frequent one."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The wrappers of a source, the outermost first, and what their times need: the zone told, and the latest month.

    A time without a year is of the last twelve months before `until`.
    """

    layers: tuple[AnyWrapper, ...]
    zone: str | None
    until: datetime

    def unwrapped(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield for each slice of `line_no`, `text` one of the same lines: `line_no`, `text`, `received_at`, `stream`, `sender`."""
        inner = "SELECT line_no, text, '' AS stamp, '' AS stream, '' AS sender FROM frame"
        for layer in self.layers:
            inner = layer.sql(inner)
        query = f"SELECT line_no, text, {self._moment('stamp')} AS received_at, stream, sender FROM ({inner})"
        with scratch(self.zone) as con:
            for table in tables:
                yield select(con, table, query)

    def _moment(self, stamp: str) -> str:
        """Return SQL for the time a wrapper tells, as naive UTC."""
        month = "\n".join(
            f"WHEN list_contains({list(names)}, lower(left({stamp}, 3))) THEN {number}"
            for number, names in enumerate(MONTHS, 1)
        )
        parts = f"regexp_extract({stamp}, '([0-9]{{1,2}}) ([0-9]{{2}}):([0-9]{{2}}):([0-9.]+) ?([0-9]{{4}})?', ['d', 'h', 'm', 's', 'y'])"
        return f"""
            CASE WHEN {stamp} = '' THEN NULL
                 WHEN regexp_matches({stamp}, '^[0-9]') THEN {times.sql(f"replace({stamp}, ',', '.')")}
                 ELSE make_timestamp(epoch_us(CAST(
                   TRY(make_timestamp(
                     coalesce(TRY_CAST(({parts}).y AS BIGINT),
                              {self.until.year} - CAST((CASE {month} END) > {self.until.month} AS BIGINT)),
                     CASE {month} END,
                     TRY_CAST(({parts}).d AS BIGINT),
                     TRY_CAST(({parts}).h AS BIGINT),
                     TRY_CAST(({parts}).m AS BIGINT),
                     TRY_CAST(({parts}).s AS DOUBLE)
                   )) AS TIMESTAMPTZ)))
            END
            """
