"""Why it ran out: the causes of the closed list, weighed against each other.

Each cause's facts add up to decibans. What is reported is how much the evidence supports the first cause against its
best rival, in the words forensic science uses for ranges of likelihood ratios (ENFSI Guideline for Evaluative Reporting,
2015). Without any sign of an incident the verdict is `none` where the evidence would have shown one, else `undetermined`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from connforensics.analyses import clock, plural
from connforensics.case import Case, Window
from connforensics.causes import CAUSES, CLOSE_S, Assessment, Scene, load
from connforensics.errors import NotUnderstoodError

SCHEMA: Final = "connforensics/verdict/1"

WORDS: Final = (
    (60.0, "extremely strong support"),
    (40.0, "very strong support"),
    (30.0, "strong support"),
    (20.0, "moderately strong support"),
    (10.0, "moderate support"),
    (3.0, "weak support"),
)
"""Decibans from which each phrase is used: likelihood ratios of 10^6, 10^4, 1000, 100, 10 and 2."""

DECIDED_DB: Final = 10.0
"""A cause is named from here on (ten times as probable as not), if it also has weak support or better against its best
rival; else the verdict is `undetermined`."""

CROWD: Final = 10
"""Without a limit, a log or a waiting caller, fewer sessions than this are not taken for an incident (judgement)."""

CALM_DB: Final = 8.0
"""What headroom throughout is worth by itself, without a witness of refusals: `none` with weak support (judgement)."""

SILENT_WITNESS_DB: Final = 15.0
"""What it is worth that nothing was refused by what would have shown each refusal, watching the whole window (judgement)."""

WATCHED_WHOLE: Final = 0.9
"""From this share of the window on a witness watched it all; a log's last line is rarely the window's end (judgement)."""

UNEXPLAINED: Final = 10
"""So many failed logins that no counter explains may be refusals (judgement)."""

WATCHED_HALF: Final = 0.5
"""A witness that watched a smaller share of the window says nothing about the rest of it (judgement)."""

WITNESSED: Final = {
    "log": "the server's log, which writes every refusal, writes none",
    "counter": "the server counted no refused connection",
    "high-water mark": "the server's own high-water mark of sessions (Max_used_connections) is not above its limit",
}
"""What the silence of each witness says."""

NEARLY_FULL: Final = 0.9
"""Above this share of the usable slots there is no headroom to speak of (judgement)."""

LONG_WAIT_S: Final = 10.0
"""Callers who are seen waiting for a pool without a break for so long suffer (judgement; a pool at its peak queues for
moments)."""

SETTLED: Final = timedelta(seconds=60)
"""Evidence must go on for this long after the last sign of saturation before recovery is said to be seen."""

PROSE: Final = {
    "connection_leak": "sessions were opened or checked out and never given back",
    "idle_in_transaction": "sessions sat in open transactions doing nothing",
    "connection_storm": "many clients connected at once after a disruption",
    "slow_query_storm": "the same work took longer, so more of it was in flight",
    "lock_pileup": "sessions queued for locks behind one blocker",
    "budget_overcommit": "clients were allowed to open more sessions together than the server can give",
    "unbounded_workers": "workers without a bound each brought a session",
    "monitoring_overconsumption": "tools that watch took the slots",
    "pooler_misconfigured": "a pool in front of the server was the bottleneck",
    "limit_too_low": "the limit lies below what is honestly needed",
    "external_scan": "strangers knocked at the door",
    "none": "no connection incident in this window",
    "undetermined": "the evidence does not decide",
}


def words(weight_db: float) -> str:
    """Return the phrase for a likelihood ratio in decibans.

    >>> words(25)
    'moderately strong support'
    >>> words(1)
    'no support'
    """
    return next((phrase for least, phrase in WORDS if weight_db >= least), "no support")


@dataclass(slots=True)
class Verdict:
    """The ranked causes with their facts, and when it was full. `ranking` holds every cause of the list."""

    case: str
    since: datetime
    until: datetime
    cause: str
    confidence: str
    ranking: list[Assessment]
    paragraph: str = ""
    onset_at: datetime | None = None
    is_onset_estimated: bool = False
    saturated: list[tuple[datetime, datetime]] = field(default_factory=list)
    peak: dict[str, object] = field(default_factory=dict)
    refusals: dict[str, object] = field(default_factory=dict)
    culprit: tuple[str, str] | None = None
    detected_at: datetime | None = None
    mitigated_at: datetime | None = None
    recovered_at: datetime | None = None

    @property
    def is_incident(self) -> bool:
        """Whether a cause of an incident is named, or one is seen and cannot be named."""
        return self.cause != "none"

    def as_json(self) -> dict[str, object]:
        """Return the shape of `verdict --json` and findings.json; times are ISO-8601 in UTC."""
        return {
            "schema": SCHEMA,
            "case": self.case,
            "window": {"since": _iso(self.since), "until": _iso(self.until)},
            "cause": self.cause,
            "confidence": self.confidence,
            "paragraph": self.paragraph,
            "onset_at": _iso(self.onset_at),
            "is_onset_estimated": self.is_onset_estimated,
            "saturated": [{"since": _iso(since), "until": _iso(until)} for since, until in self.saturated],
            "peak": self.peak,
            "refusals": self.refusals,
            "culprit": {"kind": self.culprit[0], "name": self.culprit[1]} if self.culprit else None,
            "ranking": [
                {
                    "cause": each.cause,
                    "confidence": words(each.weight_db),
                    "weight_db": round(each.weight_db, 1),
                    "onset_at": _iso(each.onset_at),
                    "for": [fact.as_json() for fact in each.for_],
                    "against": [fact.as_json() for fact in each.against],
                    "missing": each.missing,
                }
                for each in self.ranking
            ],
            "detected_at": _iso(self.detected_at),
            "mitigated_at": _iso(self.mitigated_at),
            "recovered_at": _iso(self.recovered_at),
        }


def weigh(case: Case, window: Window | None = None) -> Verdict:
    """Weigh every cause on a case.

    Raises NotUnderstoodError when the case holds nothing about connections.
    """
    scene = Scene(case, window or Window())
    if not case.rows(
        """
        SELECT 1 FROM event UNION ALL SELECT 1 FROM backend_sample UNION ALL SELECT 1 FROM pool_sample
        UNION ALL SELECT 1 FROM metric_sample LIMIT 1
        """
    ):
        raise NotUnderstoodError(
            f"{case.path}: nothing about connections was understood in this evidence",
            f"See what was read: connforensics coverage {case.path}",
        )
    ranking = sorted((load(name).weigh(scene) for name in CAUSES), key=lambda each: -each.weight_db)
    top = ranking[0]
    margin = top.weight_db - max(ranking[1].weight_db, 0.0)
    if not _has_signs(scene, ranking):
        calm_db, reasons = _calm(scene)
        if calm_db >= CALM_DB:
            cause, confidence = "none", words(calm_db)
        elif top.weight_db >= 2 * DECIDED_DB and not scene.usable and scene.peak and scene.peak[0] >= CROWD:
            cause, confidence = top.cause, words(margin)
        else:
            cause, confidence = "undetermined", "no support"
    else:
        reasons = []
        named = top.weight_db >= DECIDED_DB and margin >= WORDS[-1][0]
        cause, confidence = (top.cause, words(margin)) if named else ("undetermined", "no support")
    verdict = Verdict(
        case=case.path.name,
        since=scene.span.since,
        until=scene.span.until,
        cause=cause,
        confidence=confidence,
        ranking=ranking,
        saturated=scene.saturated,
    )
    if cause == top.cause:
        verdict.culprit, verdict.onset_at = top.culprit, top.onset_at
        verdict.is_onset_estimated = top.is_onset_estimated
    if scene.peak is not None:
        in_use, at, citations = scene.peak
        verdict.peak = {
            "in_use": in_use,
            "usable": scene.usable,
            "at": _iso(at),
            "limit_basis": scene.limit_basis,
            "citations": list(citations),
        }
    else:
        verdict.peak = {
            "in_use": None,
            "usable": scene.usable,
            "at": None,
            "limit_basis": scene.limit_basis,
            "citations": [],
        }
    verdict.refusals = {
        "total": sum(scene.refusals.values()),
        "by_kind": scene.refusals,
        "counted_not_logged": scene.counted[0] if scene.counted else 0,
        "by_poolers": scene.pooler_refusals,
        "pool_timeouts": scene.pool_timeouts,
        "turned_away": scene.turned_away,
        "citations": list(scene.refusal_citations),
    }
    _milestones(scene, verdict)
    verdict.paragraph = _paragraph(scene, verdict, margin, reasons)
    return verdict


def _has_signs(scene: Scene, ranking: list[Assessment]) -> bool:
    scan = next(each for each in ranking if each.cause == "external_scan")
    waited_s = max(scene.sustained_waits.values(), default=0.0)
    return bool(
        scene.refusals
        or scene.pooler_refusals
        or scene.saturated
        or scene.pool_timeouts
        or waited_s >= LONG_WAIT_S
        or (scene.used_quota is not None and scene.used_quota[3] >= 3)
        or scan.weight_db >= DECIDED_DB
    )


def _calm(scene: Scene) -> tuple[float, list[str]]:
    """Return how strongly the evidence speaks for calm, in decibans, and why."""
    weight, is_witnessed = 0.0, False
    reasons: list[str] = []
    if scene.unexplained >= UNEXPLAINED:
        return 0.0, reasons
    if scene.watched_most is not None:
        witness, share, since, until = scene.watched_most
        is_witnessed = share >= WATCHED_HALF
        if is_witnessed:
            weight += SILENT_WITNESS_DB if share >= WATCHED_WHOLE else SILENT_WITNESS_DB / 3
            stretch = "" if share >= WATCHED_WHOLE else f" between {clock(since)} and {clock(until)}"
            reasons.append(f"{WITNESSED[witness]}{stretch}")
    if scene.saturation is not None and scene.saturation < NEARLY_FULL:
        weight += CALM_DB if 0 < scene.look_every_s <= CLOSE_S else CALM_DB / 3
        sparse = "" if scene.look_every_s <= CLOSE_S else f" whenever anybody looked (every {scene.look_every_s:.0f} s)"
        reasons.append(f"at most {scene.saturation:.0%} of the usable slots were in use{sparse}")
    if scene.rows("SELECT 1 FROM pool_pressure WHERE waiting IS NOT NULL LIMIT 1"):
        weight += 5
        reasons.append("no caller of a pool gave up or waited for long")
    if not is_witnessed:
        # Limits of a role or a database, and bursts between two looks, stay unseen.
        weight = min(weight, CALM_DB)
    return weight, reasons


def _milestones(scene: Scene, verdict: Verdict) -> None:
    def annotated(*kinds: str) -> datetime | None:
        found = scene.first(
            """
            SELECT min(event_at)
            FROM event
            WHERE kind = 'annotation' AND event_at >= $crisis_since AND list_contains($kinds, lower(reason))
            """,
            kinds=list(kinds),
        )
        return found[0] if found else None

    if not verdict.is_incident:
        return
    verdict.detected_at = annotated("alert", "page", "detected")
    verdict.mitigated_at = annotated("mitigation", "mitigated", "fix", "rollback", "restart")
    if verdict.mitigated_at is None and verdict.culprit is not None:
        found = scene.first(
            "SELECT max(ended_at) FROM mass_end WHERE server = $server AND client = $client AND ended_at >= $crisis_since AND ended_at < $until",
            client=verdict.culprit[1],
        )
        verdict.mitigated_at = found[0] if found else None
    if verdict.saturated:
        last = verdict.saturated[-1][1]
        verdict.recovered_at = last if scene.span.until - last >= SETTLED else None


def _paragraph(scene: Scene, verdict: Verdict, margin: float, calm: list[str]) -> str:
    sentences = []
    what = PROSE[verdict.cause]
    refused = bool(scene.refusals or scene.pooler_refusals)
    if verdict.cause == "none":
        sentences.append(f"No connection incident: {'; '.join(calm)} ({verdict.confidence}).")
    elif verdict.cause == "undetermined":
        best = verdict.ranking[0]
        nearest = f"The nearest cause is {best.cause} ({PROSE[best.cause]}), with {words(best.weight_db)}."
        sentences.append(
            f"The evidence does not decide. {nearest if best.weight_db >= WORDS[-1][0] else 'No cause has support.'}"
        )
        if best.missing:
            sentences.append(f"It would have helped to have: {'; '.join(best.missing)}.")
        if scene.unexplained >= UNEXPLAINED:
            sentences.append(
                f"The server counted {plural(scene.unexplained, 'failed login')} that neither wrong passwords nor probes explain."
            )
        if (
            not refused
            and scene.counted_before is None
            and (scene.watched_most is None or scene.watched_most[1] < WATCHED_HALF)
        ):
            sentences.append(
                "That no refusal is seen says little: nothing in this evidence would have shown each one "
                "(neither every log nor every counter does)."
            )
    else:
        by = f" by {verdict.culprit[1]}" if verdict.culprit else ""
        sentences.append(
            f"{verdict.cause}{by}: {what}. The evidence gives {verdict.confidence} for this against its best rival."
        )
        rival = verdict.ranking[1]
        if rival.weight_db >= WORDS[-1][0]:
            sentences.append(f"Rival: {rival.cause} ({words(rival.weight_db)} by itself, {margin:.0f} dB behind).")
        else:
            sentences.append("No rival has support of its own.")
        if verdict.onset_at is not None:
            about = "about " if verdict.is_onset_estimated else ""
            sentences.append(f"It began at {about}{clock(verdict.onset_at)}.")
    if scene.peak is not None:
        in_use, at, _ = scene.peak
        of = (
            f" of {scene.usable} that {scene.users} can get"
            if scene.usable and not scene.limit_basis.startswith("inferred")
            else ""
        )
        sentences.append(
            f"At most {plural(in_use, 'session')}{of} {'was' if in_use == 1 else 'were'} open at once, at {clock(at)}."
        )
    if scene.high_water is not None:
        most, began, until, where = scene.high_water
        started = f" at {clock(began)}" if began else ""
        sentences.append(
            f"Between its start{started} and {clock(until)} it once had {most:,} (Max_used_connections, {', '.join(where)}); when, is not told."
        )
    sentences += _refused(scene)
    if scene.pool_timeouts:
        sentences.append(f"{plural(scene.pool_timeouts, 'caller')} gave up waiting for a pool.")
    return " ".join(sentences)


def _refused(scene: Scene) -> list[str]:
    """Say how many were refused, by whom, and who knows of it."""
    sentences = []
    refused = sum(scene.refusals.values())
    if refused:
        least = "" if not scene.counted else "about " if " less " in scene.counted[3] else "at least "
        first = scene.crisis[0] if scene.saturated or not scene.counted else scene.counted[1]
        sentence = (
            f"The server refused {least}{plural(refused, 'attempt')} for want of a slot, the first at {clock(first)}"
        )
        if scene.counted:
            number, since, until, counter, _ = scene.counted
            sentence += (
                f"; {number:,} of them are counted, not logged ({counter}, between {clock(since)} and {clock(until)})"
            )
        sentences.append(f"{sentence}.")
    elif scene.counted_before is not None:
        number, began, until, counter, where = scene.counted_before
        started = f" at {clock(began)}" if began else ""
        sentences.append(
            f"Between its start{started} and {clock(until)} the server counted {plural(number, 'refusal')} ({counter}, {', '.join(where)}); when, is not told."
        )
    for pooler, number in scene.pooler_refusals.items():
        sentences.append(f"{pooler} refused {plural(number, 'client')} for want of a slot of its own.")
    return sentences


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") + "Z" if moment is not None else None
