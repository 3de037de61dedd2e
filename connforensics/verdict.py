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
from connforensics.causes import CAUSES, Assessment, Scene, load
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
"""What headroom throughout is worth by itself, without a log that would show refusals by a quota: `none` with weak
support (judgement)."""

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
        or scene.saturated
        or scene.pool_timeouts
        or waited_s >= LONG_WAIT_S
        or scan.weight_db >= DECIDED_DB
    )


def _calm(scene: Scene) -> tuple[float, list[str]]:
    """Return how strongly the evidence speaks for calm, in decibans, and why."""
    weight, reasons = 0.0, []
    if scene.has_log:
        weight += 15
        reasons.append("the server log writes no refusal")
    if scene.saturation is not None and scene.saturation < NEARLY_FULL:
        weight += CALM_DB
        reasons.append(f"at most {scene.saturation:.0%} of the usable slots were in use")
    if scene.rows("SELECT 1 FROM pool_pressure WHERE waiting IS NOT NULL LIMIT 1"):
        weight += 5
        reasons.append("no caller of a pool gave up or waited for long")
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
    if verdict.cause == "none":
        sentences.append(f"No connection incident: {'; '.join(calm)} ({verdict.confidence}).")
    elif verdict.cause == "undetermined":
        best = verdict.ranking[0]
        sentences.append(
            f"The evidence does not decide. The nearest cause is {best.cause} ({PROSE[best.cause]}), with {words(best.weight_db)}."
        )
        if best.missing:
            sentences.append(f"It would have helped to have: {'; '.join(best.missing)}.")
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
            f" of {scene.usable} that ordinary roles can get"
            if scene.usable and not scene.limit_basis.startswith("inferred")
            else ""
        )
        sentences.append(
            f"At most {plural(in_use, 'session')}{of} {'was' if in_use == 1 else 'were'} open at once, at {clock(at)}."
        )
    refused = sum(scene.refusals.values())
    if refused:
        sentences.append(
            f"The server refused {plural(refused, 'attempt')} for want of a slot, the first at {clock(scene.crisis[0] if scene.saturated else verdict.since)}."
        )
    if scene.pool_timeouts:
        sentences.append(f"{plural(scene.pool_timeouts, 'caller')} gave up waiting for a pool.")
    return " ".join(sentences)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") + "Z" if moment is not None else None
