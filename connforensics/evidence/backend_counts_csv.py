"""Sessions counted by state, as a table: how many were active, idle, idle in transaction, once or over time.

Obtained from a loop over `SELECT now(), count(*) FILTER (WHERE state = 'active') ... FROM pg_stat_activity`, from pgwatch's
`backends` metric, from a dashboard's export, or from what everybody types first, `SELECT state, count(*) FROM
pg_stat_activity GROUP BY state`; as CSV or in any shape of a client. Each number becomes a `metric_sample`
`pg_stat_activity_count` with its state as label, as postgres_exporter has it, the total one `pg_stat_activity_total`.
https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
https://pgwat.ch/latest/reference/metric_definitions.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, consoles, tables
from connforensics.evidence.consoles import View, cell, number

STATES: Final = {
    "active": "active",
    "idle": "idle",
    "idle_in_transaction": "idle in transaction",
    "idleintransaction": "idle in transaction",
    "idle_in_xact": "idle in transaction",
    "idle_in_tx": "idle in transaction",
    "idle_in_transaction_aborted": "idle in transaction (aborted)",
    "idle_in_transaction_(aborted)": "idle in transaction (aborted)",
    "fastpath_function_call": "fastpath function call",
    "disabled": "disabled",
}

TOTALS: Final = ("total", "total_connections", "connections", "backends", "sessions", "numbackends", "count")

OWN: Final = frozenset(name for name, state in STATES.items() if state.startswith("idle in"))
"""What no pool and no other server counts."""


def _rows(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    database = next((name for name in ("datname", "database", "database_name", "db") if name in names), None)
    pairs = f", 'datname': {cell(names, database)}" if database is not None else ""
    counts = [
        f"""
        SELECT line_no, sampled_at, server, 'pg_stat_activity_count' AS name,
               MAP {{'state': '{state}'{pairs}}} AS labels, {number(names, column)} AS value
        FROM frame
        WHERE {number(names, column)} IS NOT NULL
        """
        for column, state in STATES.items()
        if column in names
    ]
    total = next((name for name in TOTALS if name in names), None)
    if total is not None:
        labels = f"MAP {{{pairs.removeprefix(', ')}}}" if pairs else "CAST(NULL AS MAP(VARCHAR, VARCHAR))"
        counts.append(
            f"""
            SELECT line_no, sampled_at, server, 'pg_stat_activity_total' AS name, {labels} AS labels,
                   {number(names, total)} AS value
            FROM frame
            WHERE {number(names, total)} IS NOT NULL
            """
        )
    return {"metric_sample": counts}


GROUPS: Final = (
    "datname",
    "usename",
    "application_name",
    "client_addr",
    "backend_type",
    "wait_event_type",
    "wait_event",
)
"""What else sessions are counted by, kept as labels."""

NUMBERS: Final = ("count", "count(*)", "cnt", "n", "num", "number", "connections", "sessions", "backends", "total")


def _grouped(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    pairs = ", ".join(
        f"struct_pack(key := '{name}', value := {cell(names, name)})" for name in ("state", *GROUPS) if name in names
    )
    return {
        "metric_sample": (
            f"""
            SELECT line_no, sampled_at, server, 'pg_stat_activity_count' AS name,
                   map_from_entries(list_filter([{pairs}], lambda pair: pair.value IS NOT NULL)) AS labels,
                   {number(names, *NUMBERS)} AS value
            FROM frame
            WHERE {number(names, *NUMBERS)} IS NOT NULL
              AND {cell(names, "state")} IN ({", ".join(f"'{state}'" for state in sorted(set(STATES.values())))})
            """,
        )
    }


BY_STATE: Final = tuple(
    View(
        "counts by state",
        frozenset(("state", name)),
        _grouped,
        frozenset(("pid", "query", "query_start", "xact_start", "command", *STATES)),
        (),
        0.85,
    )
    for name in NUMBERS
)
"""One row for each state."""

VIEWS: Final = BY_STATE + tuple(
    View(
        "counts",
        frozenset((own, "active", "idle")),
        _rows,
        frozenset(("pid", "usename", "query", "service", "pool")),
        (),
        0.85,
    )
    for own in sorted(OWN)
)


def certainty(head: Head) -> float:
    """Return how sure a head shows counts by state: by its columns, or by PostgreSQL's states in one of them."""
    layout = tables.find(head.lines, lambda names: consoles.view_of(BY_STATE, names) is not None)
    if layout is not None:
        states = {row[layout.names.index("state")] for row in layout.shown} - {None, ""}
        if not states or not states <= set(STATES.values()):
            return 0.0
        # Machines and orders are active or idle as well.
        is_own = not states <= {"active", "idle", "disabled"} or not set(GROUPS).isdisjoint(layout.names)
        return (0.85 if is_own else 0.5) * layout.fit
    return consoles.certainty(head, VIEWS)


def read(reading: Reading) -> None:
    """Store a metric_sample for each number."""
    consoles.read(reading, VIEWS)


FORMAT = Format(
    name="backend_counts_csv",
    engine="postgres",
    tables=("metric_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '"timestamp","total","active","idle","idle_in_transaction"\n"2026-11-21T03:12:00.838Z","5","2","1","2"\n',
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:12:00.838", "name": "pg_stat_activity_count",
                     "labels": {"state": "active"}, "value": 2.0},
                    {"line_no": 2, "labels": {"state": "idle"}, "value": 1.0},
                    {"line_no": 2, "labels": {"state": "idle in transaction"}, "value": 2.0},
                    {"line_no": 2, "name": "pg_stat_activity_total", "labels": None, "value": 5.0},
                )
            },
            name="counts.csv",
        ),
        Sample(
            "shop=# SELECT datname, state, count(*) FROM pg_stat_activity GROUP BY 1, 2;\n"
            " datname |        state        | count \n"
            "---------+---------------------+-------\n"
            "         |                     |     5\n"
            " shop    | active              |     3\n"
            " shop    | idle in transaction |    91\n"
            "(3 rows)\n",
            {
                "metric_sample": (
                    {"line_no": 5, "sampled_at": None, "name": "pg_stat_activity_count",
                     "labels": {"state": "active", "datname": "shop"}, "value": 3.0},
                    {"line_no": 6, "labels": {"state": "idle in transaction", "datname": "shop"}, "value": 91.0},
                )
            },
            name="counts.txt",
        ),
    ),
)  # fmt: skip
