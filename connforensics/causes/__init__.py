"""The closed list of causes: one module each, saying what the evidence holds for it and against it.

A fact's strength is a likelihood ratio: how many times more probable it is under this cause than under its rivals. The
ratios here are judgement, from the field's own rules of thumb; they are not yet fitted to labelled incidents. They are
kept as decibans (10 x log10), so that independent facts add up.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Protocol

from connforensics.analyses import Span, clock, span
from connforensics.case import Case, Window

CAUSES: Final = (
    "connection_leak",
    "idle_in_transaction",
    "connection_storm",
    "slow_query_storm",
    "lock_pileup",
    "budget_overcommit",
    "unbounded_workers",
    "monitoring_overconsumption",
    "pooler_misconfigured",
    "limit_too_low",
    "external_scan",
)
"""The causes that are weighed; `none` and `undetermined` are what a verdict says when it names none of them."""

MAX_CITATIONS: Final = 5

CLOSE_S: Final = 15.0
"""Looks further apart than this miss a whole incident between two of them (judgement)."""

GROWN: Final = 1.5
"""Workers that are this many times as many have grown (judgement)."""

FREE: Final = 0.8
"""A server used to less than this share of its slots had room (judgement)."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One measured statement: what it claims, its number, how much it weighs (decibans), and the lines behind it."""

    claim: str
    value: float | None
    unit: str
    weight_db: float
    citations: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the fact in the shape of `verdict --json`."""
        return {
            "claim": self.claim,
            "value": self.value,
            "unit": self.unit,
            "weight_db": round(self.weight_db, 1),
            "citations": list(self.citations),
        }


@dataclass(slots=True)
class Assessment:
    """What speaks for a cause, what against it, and what would have decided but was not recorded."""

    cause: str
    for_: list[Fact] = field(default_factory=list)
    against: list[Fact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    culprit: tuple[str, str] | None = None
    onset_at: datetime | None = None
    is_onset_estimated: bool = False
    """The onset is when a sampled number first rose, or a level was first left: not a line that says so."""

    @property
    def weight_db(self) -> float:
        """The sum of all facts' weights: the evidence for this cause against its rivals, in decibans."""
        return sum(fact.weight_db for fact in (*self.for_, *self.against))

    def add(
        self, claim: str, value: float | None, unit: str, ratio: float, citations: tuple[str, ...] | list[str] = ()
    ) -> None:
        """Add a fact that is `ratio` times as probable under this cause as under its rivals (below 1: against it)."""
        fact = Fact(claim, value, unit, 10 * math.log10(ratio), tuple(dict.fromkeys(citations))[:MAX_CITATIONS])
        (self.for_ if ratio >= 1 else self.against).append(fact)

    def lacks(self, what: str) -> None:
        """Say what was not recorded that would have helped to decide."""
        if what not in self.missing:
            self.missing.append(what)


class CauseModule(Protocol):
    """What a module of this folder offers."""

    def weigh(self, scene: Scene) -> Assessment:
        """Hold the evidence against this cause."""


def load(name: str) -> CauseModule:
    """Return the module of a cause."""
    return importlib.import_module(f"{__name__}.{name}")


@dataclass(frozen=True, slots=True)
class Use:
    """How the sessions of one client, or of all, were used in a set of snapshots (means over them)."""

    sessions: float
    active: float
    idle: float
    idle_in_transaction: float
    stale: float
    lock_waiters: float
    citations: tuple[str, ...]

    def share(self, what: str) -> float:
        """Return one of the counts as a share of the sessions, 0 to 1."""
        return float(getattr(self, what)) / self.sessions if self.sessions else 0.0


class Scene:
    """The incident as all causes see it: one server, its window, when it was full, and the measured series.

    The *crisis* is the time from the first sign of saturation to the last, or, where none is seen, the fullest moment.
    """

    def __init__(self, case: Case, window: Window) -> None:
        self.case = case
        self.window = window
        self.span: Span = span(case, window)

    def rows(self, sql: str, **more: object) -> list[tuple[Any, ...]]:
        """Run SQL with `$since`, `$until`, `$server`, `$crisis_since`, `$crisis_until` where it names them."""
        offered: dict[str, object] = {"server": self.server} if "$server" in sql else {}
        if "$crisis" in sql:
            offered |= {"crisis_since": self.crisis[0], "crisis_until": self.crisis[1]}
        return self.span.rows(self.case, sql, **offered, **more)

    def first(self, sql: str, **more: object) -> tuple[Any, ...] | None:
        """Return the first row of `rows`, or None."""
        found = self.rows(sql, **more)
        return found[0] if found else None

    def cite(self, *places: tuple[int | None, int | None]) -> tuple[str, ...]:
        """Return `path:line` of places given as (source_id, line_no)."""
        return tuple(
            f"{self._paths[source_id]}:{line_no}"
            for source_id, line_no in places
            if source_id is not None and line_no is not None and source_id in self._paths
        )

    @cached_property
    def _paths(self) -> Mapping[int, str]:
        return dict(self.case.rows("SELECT source_id, path FROM place"))

    @cached_property
    def server(self) -> str:
        """The server that suffered most: by refusals, then by saturation, then by sessions."""
        found = self.span.rows(
            self.case,
            """
            WITH suffering AS (
              SELECT server, count(*) AS refusals, 0.0 AS saturation, 0 AS in_use
              FROM refusal
              WHERE refuser = 'server' AND refused_at >= $since AND refused_at < $until
              GROUP BY ALL
              UNION ALL
              SELECT server, sum(unlogged), 0, 0
              FROM counted_refusal
              WHERE refuser = 'server' AND since_at >= $since AND until_at < $until
              GROUP BY ALL
              UNION ALL
              SELECT server, 0, coalesce(max(saturation), 0), max(in_use)
              FROM headroom
              WHERE known_at >= $since AND known_at < $until
              GROUP BY ALL
            )
            SELECT server
            FROM suffering
            GROUP BY server
            ORDER BY sum(refusals) DESC, max(saturation) DESC, max(in_use) DESC, server
            LIMIT 1
            """,
        )
        return str(found[0][0]) if found else ""

    @cached_property
    def began(self) -> dict[str, datetime]:
        """When each kind of evidence begins to tell of the server in the window: log, snapshots, occupancy, workers.

        What the case holds of other kinds may reach back much further, and is no calm that these have seen.
        """
        found = self.rows(
            """
            SELECT 'log', first_at FROM log_knows_ends WHERE server = $server AND last_at >= $since
            UNION ALL
            SELECT 'snapshots', min(sampled_at) FROM snapshot WHERE server = $server AND sampled_at >= $since
            UNION ALL
            SELECT 'occupancy', min(known_at) FROM occupancy WHERE server = $server AND known_at >= $since
            UNION ALL
            SELECT 'workers', min(sampled_at) FROM worker_count WHERE sampled_at >= $since
            """
        )
        return {evidence: max(at, self.span.since) for evidence, at in found if at is not None}

    def half(self, evidence: str) -> datetime:
        """Return the middle between the begin of a kind of evidence and the crisis: what lies before it is the calm."""
        begun = min(self.began.get(evidence, self.span.since), self.crisis[0])
        return begun + (self.crisis[0] - begun) / 2

    @cached_property
    def has_log(self) -> bool:
        """Whether a log of the server speaks about the window."""
        return bool(
            self.rows("SELECT 1 FROM log_knows_ends WHERE server = $server AND first_at < $until AND last_at >= $since")
        )

    @cached_property
    def look_every_s(self) -> float:
        """The usual time between two instants at which the number of used slots is known, in seconds; 0 for one instant."""
        found = self.rows(
            """
            SELECT median(step_s)
            FROM (
              SELECT epoch(known_at - lag(known_at) OVER (ORDER BY known_at)) AS step_s
              FROM (SELECT DISTINCT known_at FROM occupancy WHERE server = $server AND known_at >= $since AND known_at < $until)
            )
            """
        )
        return float(found[0][0] or 0)

    @cached_property
    def engine(self) -> str:
        """Which engine the server is; empty where nothing tells."""
        found = self.rows(
            """
            SELECT engine
            FROM (
              SELECT engine, server FROM source
              UNION ALL
              SELECT engine, server FROM setting
              UNION ALL
              SELECT CASE WHEN starts_with(name, 'mysql_') THEN 'mysql' ELSE 'postgres' END, server
              FROM metric_sample
              WHERE starts_with(name, 'mysql_') OR starts_with(name, 'pg_')
            )
            WHERE is_server(engine) AND (coalesce(server, '') = $server OR server IS NULL)
            GROUP BY engine
            ORDER BY count(*) DESC, engine DESC
            LIMIT 1
            """
        )
        return str(found[0][0]) if found else ""

    @property
    def users(self) -> str:
        """What the engine's manual calls those who get the usable slots."""
        return "ordinary roles" if self.engine == "postgres" else "ordinary users"

    @cached_property
    def watched(self) -> dict[str, tuple[float, datetime, datetime, tuple[str, ...]]]:
        """What would have shown every refusal, by witness: which share of the window it watched, from, to, citation."""
        return {
            witness: (float(share), since_at, until_at, self.cite((source_id, line_no)))
            for witness, share, since_at, until_at, source_id, line_no in self.rows(
                """
                WITH watch AS (
                  SELECT witness, greatest(since_at, $since) AS since_at, least(until_at, $until) AS until_at, source_id, line_no
                  FROM refusal_watch
                  WHERE server = $server AND since_at < $until AND until_at >= $since
                ),
                reach AS (
                  SELECT *, max(until_at) OVER (
                    PARTITION BY witness ORDER BY since_at, until_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                  ) AS seen_until_at
                  FROM watch
                )
                SELECT witness,
                       CASE WHEN epoch($until::TIMESTAMP - $since::TIMESTAMP) < 1 THEN 1.0 ELSE
                       sum(greatest(epoch(until_at - greatest(since_at, coalesce(seen_until_at, since_at))), 0))
                         / epoch($until::TIMESTAMP - $since::TIMESTAMP) END,
                       min(since_at), max(until_at), last_of(source_id, until_at, source_id, line_no), last_of(line_no, until_at, source_id, line_no)
                FROM reach
                GROUP BY witness
                """
            )
        }

    @property
    def watched_most(self) -> tuple[str, float, datetime, datetime] | None:
        """Of what would have shown every refusal, that which watched most: witness, share of the window, from, to."""
        longest = max(self.watched.items(), key=lambda told: told[1][0], default=None)
        return (longest[0], *longest[1][:3]) if longest else None

    @cached_property
    def logs_attempts(self) -> bool:
        """Whether a log of the server tells of attempts to connect that were let in, and not of refused ones alone."""
        return bool(
            self.rows(
                """
                SELECT 1
                FROM log_knows_ends
                WHERE server = $server AND (has_openings OR has_receipts) AND first_at < $until AND last_at >= $since
                """
            )
        )

    @cached_property
    def interval_s(self) -> float:
        """The usual time between two snapshots, in seconds; 0 without snapshots."""
        found = self.rows(
            """
            SELECT median(step_s)
            FROM (
              SELECT epoch(sampled_at - lag(sampled_at) OVER (ORDER BY sampled_at)) AS step_s
              FROM snapshot
              WHERE server = $server
            )
            """
        )
        return float(found[0][0] or 0)

    @cached_property
    def usable(self) -> int | None:
        """Slots that ordinary roles can get; None when the limit is not in evidence."""
        found = self.first("SELECT usable_backends FROM capacity WHERE server = $server")
        return int(found[0]) if found and found[0] is not None else None

    @cached_property
    def limit_basis(self) -> str:
        """How `usable` is known."""
        found = self.first("SELECT basis FROM capacity WHERE server = $server")
        return str(found[0]) if found else "unknown"

    @cached_property
    def capacity_citation(self) -> tuple[str, ...]:
        """The line that tells the limit."""
        found = self.first("SELECT source_id, line_no FROM capacity WHERE server = $server")
        return self.cite((found[0], found[1])) if found else ()

    @cached_property
    def peak(self) -> tuple[int, datetime | None, tuple[str, ...]] | None:
        """The most sessions seen open at once, when (None where no line bears a time), and where it is written."""
        found = self.first(
            """
            SELECT in_use, known_at, source_id, line_no
            FROM occupancy
            WHERE server = $server AND (known_at IS NULL OR (known_at >= $since AND known_at < $until))
            ORDER BY in_use DESC, (basis = 'snapshot') DESC, known_at
            LIMIT 1
            """
        )
        return (int(found[0]), found[1], self.cite((found[2], found[3]))) if found else None

    @cached_property
    def saturation(self) -> float | None:
        """The peak as a share of what ordinary roles can get; None where limit or peak is unknown or inferred."""
        if self.peak is None or not self.usable or self.limit_basis.startswith("inferred"):
            return None
        return self.peak[0] / self.usable

    @property
    def had_room(self) -> bool:
        """Whether the server is known to have had free slots throughout, and refused nobody for want of one."""
        return self.saturation is not None and self.saturation < FREE and not self.refusals and not self.saturated

    @cached_property
    def unexplained(self) -> int:
        """Failed logins in the window that MariaDB counted and neither wrong passwords nor probes explain, nor a full server."""
        found = self.rows(
            """
            WITH step AS (
              SELECT max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects')
                     - max(growth) FILTER (WHERE counter = 'mysql_global_status_access_denied_errors')
                     - coalesce(max(growth) FILTER (WHERE counter = 'mysql_global_status_aborted_connects_preauth'), 0) AS failed
              FROM counter_growth
              WHERE server = $server AND NOT is_since_start AND until_at >= $since AND since_at < $until
              GROUP BY since_at, until_at
            )
            SELECT coalesce(sum(failed) FILTER (WHERE failed > 0), 0)::BIGINT FROM step
            """
        )
        return max(int(found[0][0]) - sum(self.refusals.values()), 0)

    @cached_property
    def used_quota(self) -> tuple[str, str, int, int, datetime, tuple[str, ...]] | None:
        """The user, role or database most often seen to have used up a limit of its own: kind, name, limit, in how many
        snapshots, since when, citation.
        """
        found = self.first(
            """
            SELECT kind, whose, max(quota), count(*), min(sampled_at), first_of(source_id, sampled_at, source_id, line_no), first_of(line_no, sampled_at, source_id, line_no)
            FROM used_quota
            WHERE server = $server AND sampled_at >= $since AND sampled_at < $until
            GROUP BY kind, whose
            ORDER BY count(*) DESC, kind, whose
            LIMIT 1
            """
        )
        return (*found[:5], self.cite(found[5:])) if found else None

    @property
    def is_at_pool_alone(self) -> bool:
        """Whether callers waited or were refused at a pool or a pooler, and nothing says that the server was full."""
        return bool(self.waits or self.pooler_refusals) and not self.refusals and not self.saturated

    def is_pooler(self, service: str) -> bool:
        """Whether a service of pool numbers is a pooler, and no application with a pool of its own."""
        return bool(self.case.scalar("SELECT is_pooler($service)", {"service": service}))

    @cached_property
    def restarted_at(self) -> tuple[datetime, str, tuple[str, ...]] | None:
        """When the server last started or crashed in the two minutes before the crisis, how it is told, and where."""
        found = self.first(
            """
            SELECT event_at, kind, source_id, line_no
            FROM event
            WHERE is_server(engine)
              AND kind IN ('server_ready', 'server_starting', 'server_crashed')
              AND coalesce(reason, '') NOT IN ('log_opened', 'x_plugin', 'admin_interface', 'galera')
              AND event_at >= $from_at AND event_at <= $to_at
            ORDER BY event_at DESC
            LIMIT 1
            """,
            from_at=self.crisis[0] - timedelta(seconds=120),
            to_at=self.crisis[0] + timedelta(seconds=5),
        )
        return (found[0], str(found[1]), self.cite(found[2:])) if found else None

    @cached_property
    def saturated(self) -> list[tuple[datetime, datetime]]:
        """The stretches of saturation in the window."""
        return [
            (max(since, self.span.since), min(until, self.span.until))
            for since, until in self.rows(
                """
                SELECT since_at, until_at
                FROM saturated
                WHERE server = $server AND since_at < $until AND until_at >= $since
                ORDER BY since_at
                """
            )
        ]

    @cached_property
    def refusals(self) -> dict[str, int]:
        """Refusals for want of a slot by the server in the window by kind: those logged, and those counters know beyond."""
        return dict(
            self.rows(
                """
                SELECT kind, sum(refusals)::BIGINT
                FROM (
                  SELECT kind, count(*) AS refusals
                  FROM refusal
                  WHERE refuser = 'server' AND server = $server AND refused_at >= $since AND refused_at < $until
                  GROUP BY kind
                  UNION ALL
                  SELECT kind, unlogged
                  FROM counted_refusal
                  WHERE refuser = 'server' AND server = $server AND since_at >= $since AND until_at < $until AND unlogged > 0
                )
                GROUP BY kind
                ORDER BY sum(refusals) DESC, kind
                """
            )
        )

    @cached_property
    def counted(self) -> tuple[int, datetime, datetime, str, tuple[str, ...]] | None:
        """Refusals that counters know of and no log: how many, from, to, which counter, citations; None without any."""
        found = self.rows(
            """
            SELECT sum(unlogged)::BIGINT, min(since_at), max(until_at), arg_max(counter, unlogged),
                   first_of(source_id, until_at, source_id, line_no), first_of(line_no, until_at, source_id, line_no), last_of(source_id, until_at, source_id, line_no), last_of(line_no, until_at, source_id, line_no)
            FROM counted_refusal
            WHERE refuser = 'server' AND server = $server AND since_at >= $since AND until_at < $until AND unlogged > 0
            """
        )[0]
        if not found[0]:
            return None
        return int(found[0]), found[1], found[2], str(found[3]), self.cite(found[4:6], found[6:8])

    @cached_property
    def high_water(self) -> tuple[int, datetime | None, datetime, tuple[str, ...]] | None:
        """The most sessions since its start by the server's own mark (MySQL), where that is more than any look showed: how
        many, since when, told when, citation. When it was is not told.
        """
        found = self.first(
            """
            SELECT value, since_at, until_at, source_id, line_no
            FROM counter_growth
            WHERE server = $server AND counter = 'mysql_global_status_max_used_connections' AND is_since_start
              AND until_at < $until AND value > $peak
              AND NOT EXISTS (
                SELECT 1 FROM metric_sample WHERE name = 'mysql_global_status_max_used_connections_time' AND value > 0
              )
            ORDER BY until_at DESC
            LIMIT 1
            """,
            peak=self.peak[0] if self.peak else 0,
        )
        return (int(found[0]), found[1], found[2], self.cite(found[3:])) if found else None

    @cached_property
    def counted_before(self) -> tuple[int, datetime | None, datetime, str, tuple[str, ...]] | None:
        """Refusals that a counter shows at its first look, made at some time since the server's start: as `counted`."""
        found = self.first(
            """
            SELECT refusals, since_at, until_at, counter, source_id, line_no
            FROM counted_refusal
            WHERE refuser = 'server' AND server = $server AND is_since_start AND until_at < $until
              AND (since_at IS NULL OR since_at < $since)
            ORDER BY until_at DESC
            LIMIT 1
            """
        )
        return (int(found[0]), found[1], found[2], str(found[3]), self.cite(found[4:6])) if found else None

    @cached_property
    def pooler_refusals(self) -> dict[str, int]:
        """Clients that poolers refused for want of a slot of their own, by pooler: logged, else counted."""
        return dict(
            self.rows(
                """
                SELECT refuser, sum(refusals)::BIGINT
                FROM (
                  SELECT refuser, count(*) AS refusals
                  FROM refusal
                  WHERE refuser <> 'server' AND refused_at >= $since AND refused_at < $until
                  GROUP BY refuser
                  UNION ALL
                  SELECT refuser, unlogged
                  FROM counted_refusal
                  WHERE refuser <> 'server' AND since_at >= $since AND until_at < $until AND unlogged > 0
                )
                GROUP BY refuser
                ORDER BY sum(refusals) DESC, refuser
                """
            )
        )

    @cached_property
    def pooler_refusal_citations(self) -> tuple[str, ...]:
        """The first refusals by poolers."""
        return self.cite(
            *self.rows(
                """
                SELECT source_id, line_no
                FROM refusal
                WHERE refuser <> 'server' AND refused_at >= $since AND refused_at < $until
                ORDER BY refused_at, line_no
                LIMIT 3
                """
            )
        )

    @cached_property
    def turned_away(self) -> dict[str, int]:
        """Attempts that ended for another reason than want of a slot, by kind: rules, passwords, states, broken packets."""
        return dict(
            self.rows(
                """
                SELECT failure, count(*)
                FROM session
                WHERE server = $server AND outcome = 'failed' AND failure IS NOT NULL
                  AND failed_at >= $since AND failed_at < $until
                GROUP BY failure
                ORDER BY count(*) DESC, failure
                """
            )
        )

    @cached_property
    def refusal_citations(self) -> tuple[str, ...]:
        """The first refusals, or where counters alone tell of them, what they showed."""
        logged = self.cite(
            *self.rows(
                """
                SELECT source_id, line_no
                FROM refusal
                WHERE refuser = 'server' AND server = $server AND refused_at >= $since AND refused_at < $until
                ORDER BY refused_at, line_no
                LIMIT 3
                """
            )
        )
        return (*logged, *(self.counted[4] if self.counted else ()))

    @cached_property
    def waits(self) -> list[tuple[str, float, float, datetime, tuple[str, ...]]]:
        """Services whose callers waited or gave up: service, most waiting, gave up, when, citation."""
        return [
            (service, float(waiting or 0), float(timeouts or 0), worst_at, self.cite((source_id, line_no)))
            for service, waiting, timeouts, worst_at, source_id, line_no in self.rows(
                """
                SELECT service, max(waiting), sum(timeouts),
                       arg_max(sampled_at, (coalesce(waiting, 0), coalesce(timeouts, 0))),
                       last_of(source_id, (coalesce(waiting, 0), coalesce(timeouts, 0)), source_id, line_no),
                       last_of(line_no, (coalesce(waiting, 0), coalesce(timeouts, 0)), source_id, line_no)
                FROM pool_pressure
                WHERE sampled_at >= $since AND sampled_at < $until
                GROUP BY service
                HAVING coalesce(max(waiting), 0) > 0 OR coalesce(sum(timeouts), 0) > 0
                ORDER BY sum(timeouts) DESC NULLS LAST, max(waiting) DESC
                """
            )
        ]

    @cached_property
    def sustained_waits(self) -> dict[str, float]:
        """Services whose callers were seen waiting without a break, and for how long at the longest, in seconds."""
        return dict(
            self.rows(
                """
                WITH marked AS (
                  SELECT service, sampled_at, waiting > 0 AS is_waiting,
                         sum((coalesce(waiting, 0) = 0)::INTEGER) OVER (PARTITION BY service ORDER BY sampled_at) AS breaks
                  FROM pool_pressure
                  WHERE waiting IS NOT NULL AND sampled_at >= $since AND sampled_at < $until
                ),
                stretch AS (
                  SELECT service, breaks, epoch(max(sampled_at) - min(sampled_at)) AS seconds
                  FROM marked
                  WHERE is_waiting
                  GROUP BY ALL
                )
                SELECT service, max(seconds)
                FROM stretch
                GROUP BY service
                """
            )
        )

    @cached_property
    def crisis_age_s(self) -> float | None:
        """Median age of the sessions in the first snapshots of the crisis, in seconds; None where not recorded.

        Of a session that was there from the first snapshot on, and whose server does not tell when it began (MySQL), what
        was seen of it is the least that its age can be: where half are such, the median is not known.
        """
        found = self.rows(
            """
            SELECT median(CASE WHEN backend_start_at IS NULL THEN 'Infinity'::DOUBLE ELSE age_s END)
            FROM client_backend
            WHERE server = $server AND age_s IS NOT NULL AND list_contains($moments, sampled_at)
            """,
            moments=self.crisis_snapshots[:3],
        )
        return float(found[0][0]) if found[0][0] is not None and math.isfinite(found[0][0]) else None

    @cached_property
    def lock_waits_before(self) -> int:
        """Waits for locks that the log tells of in the two minutes before the crisis and its first ten seconds."""
        found = self.rows(
            """
            SELECT count(*)
            FROM event
            WHERE kind = 'lock_wait' AND event_at >= $from_at AND event_at <= $to_at
            """,
            from_at=self.crisis[0] - timedelta(minutes=2),
            to_at=self.crisis[0] + timedelta(seconds=10),
        )
        return int(found[0][0])

    @cached_property
    def slots(self) -> int:
        """The usable slots, or where unknown the most sessions seen; at least 1."""
        return self.usable or (self.peak[0] if self.peak else 0) or 1

    @cached_property
    def filled_in_s(self) -> float | None:
        """Seconds from when half of the slots that are usually free were last free to the crisis; None when not seen."""
        if not self.usable or not self.saturated:
            return None
        found = self.rows(
            """
            WITH known AS (
              SELECT known_at, in_use
              FROM occupancy
              WHERE server = $server AND known_at >= $since AND known_at < $crisis_since
            ),
            usual AS (
              SELECT median(in_use) AS in_use FROM known WHERE known_at < $half
            )
            SELECT max(known_at)
            FROM known, usual
            WHERE known.in_use <= greatest($usable / 2, ($usable + usual.in_use) / 2) AND usual.in_use < $free * $usable
            """,
            usable=self.usable,
            free=FREE,
            half=self.half("occupancy"),
        )
        return (self.crisis[0] - found[0][0]).total_seconds() if found[0][0] is not None else None

    @cached_property
    def pool_timeouts(self) -> int:
        """Callers who gave up waiting for a pool."""
        return int(sum(timeouts for _, _, timeouts, _, _ in self.waits))

    @cached_property
    def crisis(self) -> tuple[datetime, datetime]:
        """From the first sign of saturation to the last refusal, or the last other sign where nobody was refused; without
        saturation the time of other refusals, else the queue for a pool up to its worst, else the fullest moment.
        """
        first, last = self._refused_between
        if self.saturated:
            begun, ended = self.saturated[0][0], self.saturated[-1][1]
            return begun, max(begun, min(last or ended, ended))
        if first is not None and last is not None:
            return first, last
        if self.waits:
            service, _, _, worst_at, _ = self.waits[0]
            return min(self.queued_since(service) or worst_at, worst_at), worst_at
        moment = (self.peak[1] if self.peak else None) or self.span.since
        return moment, moment

    def queued_since(self, service: str) -> datetime | None:
        """Return when the queue for the service's pool had a quarter of its greatest length and did not dissolve before that,
        else when the first caller gave up.
        """
        found = self.first(
            """
            WITH queue AS (
              SELECT sampled_at, waiting
              FROM pool_pressure
              WHERE service = $service AND waiting IS NOT NULL AND sampled_at >= $since AND sampled_at < $until
            ),
            longest AS (
              SELECT max(waiting) AS waiting, arg_min(sampled_at, -waiting) AS at_peak FROM queue
            ),
            dissolved AS (
              SELECT max(sampled_at) AS last_at
              FROM queue, longest
              WHERE queue.waiting < longest.waiting / 4 AND sampled_at < at_peak
            ),
            given_up AS (
              SELECT min(sampled_at) AS since_at
              FROM pool_pressure
              WHERE service = $service AND timeouts > 0 AND sampled_at >= $since AND sampled_at < $until
            )
            SELECT coalesce(
              (
                SELECT min(sampled_at)
                FROM queue, longest, dissolved
                WHERE longest.waiting > 0 AND (last_at IS NULL OR sampled_at > last_at)
              ),
              (SELECT since_at FROM given_up)
            )
            """,
            service=service,
        )
        return found[0] if found else None

    @property
    def _refused_between(self) -> tuple[datetime | None, datetime | None]:
        """When the server first and last refused somebody, logged or counted; else when poolers did."""
        found = self.rows(
            """
            WITH refused AS (
              SELECT refuser = 'server' AS is_server, refused_at AS first_at, refused_at AS last_at
              FROM refusal
              WHERE refused_at >= $since AND refused_at < $until
              UNION ALL
              SELECT refuser = 'server', fullest_at, until_at
              FROM counted_refusal
              WHERE unlogged > 0 AND since_at >= $since AND until_at < $until
            )
            SELECT min(first_at), max(last_at)
            FROM refused
            WHERE is_server = $is_server
            """,
            is_server=bool(self.refusals),
        )
        return found[0][0], found[0][1]

    @cached_property
    def crisis_snapshots(self) -> list[datetime]:
        """The snapshots that show the crisis, else the last three before its end.

        They are those of its first half (half a minute at least, five at most): in the second it goes away.
        """
        reach = timedelta(seconds=max(self.interval_s, 1))
        since, until = self.crisis
        inside = self.rows(
            """
            SELECT sampled_at
            FROM snapshot
            WHERE server = $server AND sampled_at >= $from_at AND sampled_at <= $to_at
            ORDER BY sampled_at
            LIMIT 300
            """,
            from_at=since - reach,
            to_at=min(until, since + min(max((until - since) / 2, timedelta(seconds=30)), timedelta(minutes=5)))
            + reach,
        )
        if not inside:
            inside = self.rows(
                """
                SELECT sampled_at
                FROM snapshot
                WHERE server = $server AND sampled_at <= $to_at AND sampled_at >= $since
                ORDER BY sampled_at DESC
                LIMIT 3
                """,
                to_at=until,
            )
        return [sampled_at for (sampled_at,) in inside]

    @cached_property
    def calm_snapshots(self) -> list[datetime]:
        """Snapshots of the calm before: of the first half of what they show before the crisis, at least three or none."""
        found = self.rows(
            """
            SELECT sampled_at
            FROM snapshot
            WHERE server = $server AND sampled_at >= $since AND sampled_at < $half
            ORDER BY sampled_at
            LIMIT 2000
            """,
            half=self.half("snapshots"),
        )
        return [sampled_at for (sampled_at,) in found] if len(found) >= 3 else []

    def use(self, snapshots: list[datetime], client: str | None = None) -> Use | None:
        """Return how sessions were used on average over the given snapshots; None when there are none."""
        if not snapshots:
            return None
        found = self.rows(
            """
            WITH summed AS (
              SELECT sampled_at, sum(sessions) AS sessions, sum(active) AS active, sum(idle) AS idle,
                     sum(idle_in_transaction) AS idle_in_transaction, sum(stale) AS stale,
                     sum(lock_waiters) AS lock_waiters, min(source_id) AS source_id, min(line_no) AS line_no
              FROM client_use
              WHERE server = $server
                AND list_contains($moments, sampled_at)
                AND ($client IS NULL OR client = $client)
              GROUP BY ALL
            )
            SELECT avg(sessions), avg(active), avg(idle), avg(idle_in_transaction), avg(stale), avg(lock_waiters),
                   min(source_id), arg_min(line_no, (source_id, line_no)), last_of(source_id, sessions, source_id, line_no), last_of(line_no, sessions, source_id, line_no)
            FROM summed
            """,
            moments=snapshots,
            client=client,
        )[0]
        if found[0] is None:
            return None
        citations = self.cite((found[6], found[7]), (found[8], found[9]))
        sessions, active, idle, idle_in_transaction, stale, lock_waiters = map(float, found[:6])
        return Use(sessions, active, idle, idle_in_transaction, stale, lock_waiters, citations)

    @cached_property
    def crisis_use(self) -> Use | None:
        """How all sessions were used in the crisis."""
        return self.use(self.crisis_snapshots)

    @cached_property
    def calm_use(self) -> Use | None:
        """How all sessions were used in the calm before."""
        return self.use(self.calm_snapshots)

    @cached_property
    def holders(self) -> list[tuple[str, float, tuple[str, ...]]]:
        """Clients with their mean sessions in the crisis, most first, from snapshots, else from the log."""
        if self.crisis_snapshots:
            found = self.rows(
                """
                SELECT client, sum(sessions) / len($moments), min(source_id), arg_min(line_no, (source_id, line_no))
                FROM client_use
                WHERE server = $server AND list_contains($moments, sampled_at)
                GROUP BY client
                ORDER BY 2 DESC, 1
                """,
                moments=self.crisis_snapshots,
            )
        else:
            found = self.rows(
                """
                SELECT client, arg_max(open_sessions, (changed_at, line_no)), arg_max(source_id, (changed_at, line_no)),
                       arg_max(line_no, (changed_at, line_no))
                FROM client_session_count
                WHERE server = $server AND changed_at <= $crisis_since
                GROUP BY client
                HAVING arg_max(open_sessions, (changed_at, line_no)) > 0
                ORDER BY 2 DESC, 1
                """
            )
        return [
            (client, float(sessions), self.cite((source_id, line_no))) for client, sessions, source_id, line_no in found
        ]

    @property
    def workers_grew(self) -> tuple[float, float, float, tuple[str, ...]] | None:
        """Workers before the crisis and in it, their ratio, and where both stand, where they grew by half at least."""
        counted = self.workers()
        if counted is None or counted[1] < GROWN * max(counted[0], 1.0):
            return None
        return counted[0], counted[1], counted[1] / max(counted[0], 1.0), counted[2]

    @cached_property
    def knows_workers_before(self) -> bool:
        """Whether the workers of each service were counted before the crisis, and again until then: a count stands for the
        time until the next one, and of what grew within one of them nothing says that it did not.
        """
        found = self.rows(
            """
            WITH counted AS (
              SELECT service, lead(sampled_at) OVER (PARTITION BY service ORDER BY sampled_at) AS next_at
              FROM worker_count
              WHERE sampled_at >= $since
            ),
            told AS (
              SELECT service, coalesce(bool_or(next_at <= $crisis_since), false) AS is_before FROM counted GROUP BY ALL
            )
            SELECT bool_and(is_before) FROM told
            """
        )
        return bool(found[0][0])

    def workers(self, service: str | None = None) -> tuple[float, float, tuple[str, ...]] | None:
        """Return workers before the crisis (least in the calm half), workers in it (most), and where both stand.

        Of one service, or of all added up; None when not in evidence.
        """
        found = self.rows(
            """
            WITH counted AS (
              SELECT sampled_at, service, workers, source_id, line_no
              FROM worker_count
              WHERE ($service IS NULL OR service = $service)
                AND sampled_at >= $since
                AND sampled_at <= $to_at
            ),
            per_service AS (
              SELECT
                service,
                coalesce(min(workers) FILTER (WHERE sampled_at <= $half), arg_min(workers, sampled_at)) AS workers_before,
                max(workers) FILTER (WHERE sampled_at >= $half) AS workers_then,
                first_of(source_id, sampled_at, source_id, line_no) AS first_source,
                first_of(line_no, sampled_at, source_id, line_no) AS first_line,
                last_of(source_id, workers, source_id, line_no) AS most_source,
                last_of(line_no, workers, source_id, line_no) AS most_line
              FROM counted
              GROUP BY ALL
            )
            SELECT sum(workers_before), sum(coalesce(workers_then, workers_before)), min(first_source), min(first_line),
                   min(most_source), min(most_line)
            FROM per_service
            """,
            service=service,
            half=self.half("workers"),
            to_at=self._counted_until,
        )[0]
        if found[0] is None:
            return None
        return float(found[0]), float(found[1]), self.cite((found[2], found[3]), (found[4], found[5]))

    @cached_property
    def grown_service(self) -> tuple[str, datetime] | None:
        """The service whose workers grew most up to the crisis, and when they were first more than at their fewest."""
        found = self.first(
            """
            WITH counted AS (
              SELECT service, sampled_at, workers FROM worker_count WHERE sampled_at >= $since AND sampled_at <= $to_at
            ),
            grown AS (
              SELECT service, arg_max(workers, sampled_at) - arg_min(workers, sampled_at) AS growth, min(workers) AS least
              FROM counted
              GROUP BY ALL
              HAVING growth > 0
              ORDER BY growth DESC, service
              LIMIT 1
            )
            SELECT service, min(sampled_at)
            FROM counted
            JOIN grown USING (service)
            WHERE workers > least
            GROUP BY service
            """,
            to_at=self._counted_until,
        )
        return (str(found[0]), found[1]) if found else None

    @property
    def _counted_until(self) -> datetime:
        """Up to when workers are counted as those before the crisis: counts come late, and rarely."""
        return self.crisis[0] + timedelta(seconds=max(self.interval_s, 30))

    def when(self, moment: datetime) -> str:
        """Return a time as it stands in claims."""
        return clock(moment)
