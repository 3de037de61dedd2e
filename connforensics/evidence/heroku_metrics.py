"""What Heroku Postgres and its connection pooler write about themselves into the log of an app, about once a minute.

Obtained with `heroku logs --ps heroku-postgres`, `heroku logs --ps heroku-pgbouncer`, or from a log drain. The time is
Logplex's, in front of each line. Connections become `pg_stat_database_numbackends`, the pooler's
numbers those of the PgBouncer exporter; label `source` is the attachment's name.
https://devcenter.heroku.com/articles/heroku-postgres-metrics-logs
"""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, times

METRICS: Final = {
    "active-connections": "pg_stat_database_numbackends",
    "waiting-connections": "heroku_postgres_waiting_connections",
    "client_active": "pgbouncer_pools_client_active_connections",
    "client_waiting": "pgbouncer_pools_client_waiting_connections",
    "server_active": "pgbouncer_pools_server_active_connections",
    "server_idle": "pgbouncer_pools_server_idle_connections",
    "max_wait": "pgbouncer_pools_client_maxwait_seconds",
}
"""Samples that tell of connections; the others tell of the database's size, its cache and its host."""

_SAMPLE = re.compile(r"\bsample#([\w-]+)=(-?\d+(?:\.\d+)?)")
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\S+) \w+\[")
_SOURCE = re.compile(r"\bsource=(\S+)")


def certainty(head: Head) -> float:
    """Return how sure the lines are Heroku's samples: by the share that hold one of connections."""
    lines = [line for line in head.lines if line.strip()]
    own = sum(any(name in METRICS for name, _ in _SAMPLE.findall(line)) for line in lines)
    return 0.9 * own / len(lines) if own else 0.0


def read(reading: Reading) -> None:
    """Store a metric_sample for each number about connections."""
    for table in reading.slices():
        moments = table["received_at"].to_pylist() if reading.has_received_at else [None] * table.num_rows
        numbers, texts = table["line_no"].to_pylist(), table["text"].to_pylist()
        rows = []
        for line_no, text, received_at in zip(numbers, texts, moments, strict=True):
            stamp = _STAMP.match(text)
            moment = times.parse(stamp[1]) if stamp is not None else received_at
            told = [(METRICS[name], float(value)) for name, value in _SAMPLE.findall(text) if name in METRICS]
            source = _SOURCE.search(text)
            labels = [("source", source[1])] if source is not None else []
            rows += [(line_no, moment, name, labels, value) for name, value in told]
            if told:
                reading.ledger.understood += 1
                reading.ledger.saw(moment, moment)
            elif "sample#" in text or not text.strip():
                reading.ledger.ignored += 1
            else:
                reading.ledger.unknown += 1
                reading.ledger.example(line_no, text)
        if rows:
            line_nos, sampled, names, labelled, values = zip(*rows, strict=True)
            reading.insert(
                "metric_sample",
                pa.table(
                    {
                        "line_no": pa.array(line_nos, pa.int64()),
                        "sampled_at": pa.array(sampled, pa.timestamp("us")),
                        "name": pa.array(names, pa.string()),
                        "labels": pa.array(labelled, pa.map_(pa.string(), pa.string())),
                        "value": pa.array(values, pa.float64()),
                    }
                ),
            )


FORMAT = Format(
    name="heroku_metrics",
    engine=None,
    tables=("metric_sample",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            "2026-11-21T03:12:32.346000+00:00 heroku[postgres]: source=DATABASE addon=postgresql-round-1 sample#db_size=26219348792bytes sample#active-connections=92 sample#waiting-connections=1\n"
            "2026-11-21T03:13:32.346000+00:00 heroku[postgres]: source=DATABASE addon=postgresql-round-1 sample#db_size=26219348792bytes\n",
            {
                "metric_sample": (
                    {"line_no": 1, "name": "heroku_postgres_waiting_connections", "value": 1.0},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:32.346", "name": "pg_stat_database_numbackends",
                     "labels": {"source": "DATABASE"}, "value": 92.0},
                )
            },
            name="heroku.log",
        ),
        Sample(
            "2026-11-21T03:12:32.346000+00:00 app[heroku-pgbouncer]: source=pgbouncer addon=postgresql-round-1 sample#client_active=25 sample#client_waiting=7 sample#server_active=20 sample#server_idle=0 sample#max_wait=3.5\n",
            {
                "metric_sample": (
                    {"name": "pgbouncer_pools_client_active_connections", "value": 25.0},
                    {"line_no": 1, "sampled_at": "2026-11-21T03:12:32.346", "name": "pgbouncer_pools_client_maxwait_seconds",
                     "labels": {"source": "pgbouncer"}, "value": 3.5},
                    {"name": "pgbouncer_pools_client_waiting_connections", "value": 7.0},
                    {"name": "pgbouncer_pools_server_active_connections", "value": 20.0},
                    {"name": "pgbouncer_pools_server_idle_connections", "value": 0.0},
                )
            },
            name="pooler.log",
        ),
    ),
)  # fmt: skip
