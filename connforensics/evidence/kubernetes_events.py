"""What Kubernetes did and how much of it ran: events, and the replica counts of deployments, stateful sets and autoscalers.

Obtained with `kubectl get events -A -o json` (or as the plain table, or `--watch -o json`), and `kubectl get
deploy,sts,ds,hpa -o json` or the plain table. Events about scaling, killing, failing and restarting become marks; those of
a pod's ordinary start are recognised and say nothing. From "Scaled up replica set X to N" the workers of a deployment are
counted: the sum over its replica sets, told only while all of them are known. Events are kept for an hour by default: get
them early. The plain tables tell ages instead of times; they count back from the time in the file's name, and without one
the time stays unknown. So does that of replica counts.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from connforensics.evidence import Format, Head, Reading, Sample, json_records, marks, times, workers
from connforensics.evidence.json_records import Path, Record, Verdict
from connforensics.evidence.marks import Mark

SILENT: Final = frozenset(
    ("Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete", "SuccessfulAttachVolume",
     "SuccessfulMountVolume", "LeaderElection", "Provisioning", "ProvisioningSucceeded", "ExternalProvisioning", "Synced",
     "WaitForFirstConsumer", "AddedInterface", "SawCompletedJob", "Completed", "NoPods", "Sync", "UpdatedLoadBalancer",
     "EnsuringLoadBalancer", "EnsuredLoadBalancer", "NodeHasSufficientMemory", "NodeHasNoDiskPressure",
     "NodeHasSufficientPID", "RegisteredNode", "Starting", "NodeReady", "NodeAllocatableEnforced", "IssuingCert")
)  # fmt: skip
"""Reasons of the ordinary course of things."""

KINDS: Final = {
    "ScalingReplicaSet": "scale", "SuccessfulRescale": "scale", "ScaledUpGroup": "scale", "TriggeredScaleUp": "scale",
    "ScaleDown": "scale", "KEDAScaleTargetActivated": "scale", "KEDAScaleTargetDeactivated": "scale",
    "Killing": "restart", "OOMKilling": "restart", "Evicted": "restart", "Preempting": "restart", "Preempted": "restart",
    "Rebooted": "restart", "NodeNotReady": "restart", "TaintManagerEviction": "restart", "SystemOOM": "restart",
    "DeploymentRollback": "rollback", "RolloutCompleted": "deploy", "RolloutUpdated": "deploy",
}  # fmt: skip
"""What a reason means among the kinds of marks; every other one is `unhealthy` when it warns, else a note."""

WORKLOADS: Final = {
    "Deployment": (("status", "readyReplicas"), ("status", "replicas"), ("spec", "replicas")),
    "StatefulSet": (("status", "readyReplicas"), ("status", "replicas"), ("spec", "replicas")),
    "DaemonSet": (("status", "numberReady"), ("status", "currentNumberScheduled")),
    "HorizontalPodAutoscaler": (("status", "currentReplicas"), ("status", "desiredReplicas")),
}
"""Objects that count replicas, and where: what is ready goes before what exists, that before what is wanted."""

BATCH: Final = 20_000
"""Marks stored together."""

_SCALED = re.compile(r"Scaled (up|down) replica set (\S+)(?: from (\d+))? to (\d+)(?: from (\d+))?")
_RESCALED = re.compile(r"New size: (\d+)")
_LIST = re.compile(r'^\s*\{(?:\s*"(?:apiVersion|kind|metadata)"\s*:\s*(?:"[^"]*"|\{[^{}]*\})\s*,)*\s*"items"\s*:\s*\[')
_EVENT = re.compile(r'"(?:involvedObject|regarding)"\s*:\s*\{')
_WORKLOAD = re.compile(rf'"kind"\s*:\s*"(?:{"|".join(WORKLOADS)})"')
_EVENTS_TABLE = re.compile(
    r"^(?:NAMESPACE\s+)?LAST SEEN\s+(?:(?:FIRST SEEN|COUNT|NAME|KIND)\s+)*TYPE\s+REASON\s+.*MESSAGE"
)
_DESCRIBED = re.compile(r"^\s*Type\s+Reason\s+Age\s+From\s+Message\s*$")
_WORKLOADS_TABLE = re.compile(r"^(?:NAMESPACE\s+)?NAME\s+(?:READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE|READY\s+AGE)\b")
_SCALERS_TABLE = re.compile(r"^(?:NAMESPACE\s+)?NAME\s+REFERENCE\s+TARGETS\s+MINPODS\s+MAXPODS\s+REPLICAS\s+AGE")
_TABLES: Final = (_EVENTS_TABLE, _DESCRIBED, _WORKLOADS_TABLE, _SCALERS_TABLE)
_AGE = re.compile(r"(\d+)([dhms])")
_UNITS_S: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def certainty(head: Head) -> float:
    """Return how sure a head is of Kubernetes: by the members of its objects, or the headers of its tables."""
    text = "\n".join(head.lines)[:200_000]
    if text.lstrip()[:1] in ("{", "["):
        if _EVENT.search(text) and re.search(r'"(?:reason|note|message)"\s*:', text) and '"metadata"' in text:
            return 0.96
        is_audit = "audit.k8s.io/" in text
        return (
            0.96 if _WORKLOAD.search(text) and not is_audit and '"metadata"' in text and '"apiVersion"' in text else 0.0
        )
    return 0.95 if any(pattern.match(line) for line in head.lines[:50] for pattern in _TABLES) else 0.0


@dataclass(frozen=True, slots=True)
class Count:
    """Workers of a service at a time."""

    line_no: int
    at: datetime | None
    service: str
    workers: float


@dataclass(frozen=True, slots=True)
class Scaling:
    """A replica set of a deployment brought to a size."""

    line_no: int
    at: datetime
    service: str
    replica_set: str
    before: int | None
    after: int


@dataclass(slots=True)
class Taken:
    """What was found in a source."""

    reading: Reading
    marks: list[Mark] = field(default_factory=list)
    untimed: list[tuple[int, str, str, str | None]] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    scalings: list[Scaling] = field(default_factory=list)
    rescalings: list[Count] = field(default_factory=list)
    now: datetime | None = None

    def happened(
        self, line_no: int, at: datetime | None, reason: str, kind: str, name: str, message: str, is_warning: bool
    ) -> Verdict:
        """Take an event; say what becomes of its lines."""
        if reason in SILENT and not is_warning:
            return Verdict.IGNORED
        meant = KINDS.get(reason, "unhealthy" if is_warning else "note")
        whose = f"{kind.lower()}/{name}" if name else kind.lower()
        detail = f"{reason} {whose}: {message}".strip()
        service = service_of(kind, name)
        if at is None:
            self.untimed.append((line_no, meant, detail, service))
        else:
            self.marks.append(Mark(line_no, at, meant, detail, service, message))
            if len(self.marks) >= BATCH:
                marks.store(self.reading, self.marks)
                self.marks.clear()
        scaled = _SCALED.search(message)
        if scaled is not None and at is not None and kind.lower().startswith("deployment"):
            told = scaled[5] or scaled[3]
            before = int(told) if told else None
            self.scalings.append(Scaling(line_no, at, name, scaled[2], before, int(scaled[4])))
        rescaled = _RESCALED.search(message)
        if rescaled is not None and at is not None and reason == "SuccessfulRescale":
            self.rescalings.append(Count(line_no, at, name, float(rescaled[1])))
        return Verdict.UNDERSTOOD

    def finish(self) -> None:
        """Store everything."""
        reading = self.reading
        marks.store(reading, sorted(self.marks, key=lambda mark: mark.line_no))
        if self.untimed:
            lines, kinds, details, services = zip(*self.untimed, strict=True)
            reading.ledger.assume("ages are told instead of times, and no time from which they count: when is unknown")
            reading.insert(
                "event",
                pa.table(
                    {
                        "line_no": pa.array(lines, pa.int64()),
                        "kind": pa.array(["annotation"] * len(lines), pa.string()),
                        "reason": pa.array(kinds, pa.string()),
                        "application_name": pa.array(services, pa.string()),
                        "detail": pa.array(details, pa.string()),
                        "text": pa.array(details, pa.string()),
                    }
                ),
            )
        counted = {one.service for one in self.scalings}
        told = self.counts + counts_of(self.scalings)
        told += [one for one in self.rescalings if one.service not in counted]
        if not told:
            return
        if any(one.at is None for one in told):
            reading.ledger.assume("when the replicas were counted is not told")
        moments = [one.at for one in told if one.at is not None]
        if moments:
            reading.ledger.saw(min(moments), max(moments))
        told.sort(key=lambda one: (one.line_no, one.service))
        workers.store(
            reading,
            pa.table(
                {
                    "line_no": pa.array([one.line_no for one in told], pa.int64()),
                    "sampled_at": pa.array([one.at for one in told], pa.timestamp("us")),
                    "service": pa.array([one.service for one in told], pa.string()),
                    workers.TARGET: pa.array([one.workers for one in told], pa.float64()),
                }
            ),
        )


def counts_of(scalings: Sequence[Scaling]) -> list[Count]:
    """Return the workers of each deployment after each scaling: the sum over its replica sets, while all are known.

    A replica set scaled up without "from" is a new one and had none.
    """
    counts = []
    ordered = sorted(scalings, key=lambda one: (one.at, one.line_no))
    for service in dict.fromkeys(one.service for one in ordered):
        mine = [one for one in ordered if one.service == service]
        sizes: dict[str, int | None] = {}
        for one in mine:
            is_new = (
                one.before is None and len({other.replica_set for other in mine}) > 1 and one.after <= _first_step(mine)
            )
            sizes.setdefault(one.replica_set, 0 if is_new else one.before)
        for one in mine:
            sizes[one.replica_set] = one.after
            known = [size for size in sizes.values() if size is not None]
            if len(known) == len(sizes):
                counts.append(Count(one.line_no, one.at, service, float(sum(known))))
    return counts


def _first_step(mine: Sequence[Scaling]) -> int:
    """Return the most replicas a rollout adds at once: a quarter, one at least (maxSurge's default)."""
    return max(1, -(-max(one.after for one in mine) // 4))


def service_of(kind: str, name: str) -> str | None:
    """Return the workload an object belongs to, as its name tells.

    >>> service_of("Pod", "orders-7d9c5b6f4-x2v9k"), service_of("ReplicaSet", "orders-7d9c5b6f4"), service_of("Node", "n1")
    ('orders', 'orders', None)
    """
    kind = kind.lower()
    if kind.startswith(("deployment", "statefulset", "daemonset", "horizontalpodautoscaler", "deploy")):
        return name or None
    if kind.startswith("replicaset"):
        return re.sub(r"-[a-z0-9]{5,10}$", "", name) or None
    if kind.startswith("pod"):
        bare = re.sub(r"-[a-z0-9]{7,10}-[a-z0-9]{5}$|-\d+$|-[a-z0-9]{5}$", "", name)
        return bare or None
    return None


def read(reading: Reading) -> None:
    """Store marks and worker counts."""
    taken = Taken(reading, now=times.in_name(reading.head.name, reading.options.timezone))
    first = next((line.lstrip() for line in reading.head.lines if line.strip()), "")
    if first[:1] in ("{", "["):
        is_list = _LIST.match("\n".join(reading.head.lines[:50])[:20_000]) is not None

        def opens(path: Path, bracket: str) -> bool:
            if path == ():
                return bracket == "[" or is_list
            return path == ("items",)

        for record, lines in json_records.records(reading, opens):
            lines.account(record.first_line, record.last_line, _object(taken, record))
    else:
        _tables(taken)
    taken.finish()


def _object(taken: Taken, record: Record) -> Verdict:
    value = record.value
    if not isinstance(value, dict):
        return Verdict.IGNORED
    inner = value.get("object")
    if "type" in value and isinstance(inner, dict):
        value = inner
    items = value.get("items")
    if isinstance(items, list) and str(value.get("kind", "")).endswith("List"):
        found = [_one(taken, record.first_line, one) for one in items if isinstance(one, dict)]
        return max(found, default=Verdict.IGNORED)
    return _one(taken, record.first_line, value)


def _one(taken: Taken, line_no: int, value: Mapping[str, object]) -> Verdict:
    about = value.get("involvedObject") or value.get("regarding")
    named = json_records.strings(value.get("metadata"))
    kind = str(value.get("kind", ""))
    if isinstance(about, dict):
        target = json_records.strings(about)
        series = json_records.strings(value.get("series"))
        told = json_records.strings(value)
        written = (
            series.get("lastObservedTime") or told.get("lastTimestamp") or told.get("deprecatedLastTimestamp")
            or told.get("eventTime") or told.get("firstTimestamp") or named.get("creationTimestamp", "")
        )  # fmt: skip
        return taken.happened(
            line_no, times.parse(re.sub(r"(\.\d{6})\d+", r"\1", written)), told.get("reason", ""), target.get("kind", ""),
            target.get("name", ""), told.get("message") or told.get("note", ""), told.get("type") == "Warning",
        )  # fmt: skip
    for part, key in WORKLOADS.get(kind, ()):
        inner = value.get(part)
        number = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(number, int):
            taken.counts.append(Count(line_no, taken.now, named.get("name", ""), float(number)))
            return Verdict.UNDERSTOOD
    if kind in WORKLOADS:
        taken.counts.append(Count(line_no, taken.now, named.get("name", ""), 0.0))
        return Verdict.UNDERSTOOD
    return Verdict.IGNORED


def _tables(taken: Taken) -> None:
    """Read the plain tables: cells by the places of the header's words."""
    ledger = taken.reading.ledger
    header: list[tuple[str, int]] = []
    take: Callable[[Taken, int, Mapping[str, str]], Verdict] | None = None
    for line_no, line in taken.reading.lines():
        pattern = next((pattern for pattern in _TABLES if pattern.match(line)), None)
        verdict = Verdict.UNKNOWN
        if pattern is not None:
            header = [(found.group(), found.start()) for found in re.finditer(r"\S+(?: \S+)*", line)]
            take = _event_row if pattern in (_EVENTS_TABLE, _DESCRIBED) else _workload_row
            verdict = Verdict.IGNORED
        elif not line.strip() or re.fullmatch(r"[\s-]+", line) or line.startswith(("Events:", *json_records.FENCES)):
            verdict = Verdict.IGNORED
        elif take is not None:
            verdict = take(taken, line_no, _cells(header, line))
        ledger.understood += verdict is Verdict.UNDERSTOOD
        ledger.ignored += verdict is Verdict.IGNORED
        ledger.unknown += verdict is Verdict.UNKNOWN
        if verdict is Verdict.UNKNOWN:
            ledger.example(line_no, line)


def _cells(header: Sequence[tuple[str, int]], line: str) -> dict[str, str]:
    names = [name for name, _ in header]
    split = re.split(r"\s{2,}", line.strip(), maxsplit=len(names) - 1)
    if len(split) == len(names):
        return {name.upper(): cell.strip() for name, cell in zip(names, split, strict=True)}
    starts = [start for _, start in header]
    ends = [*starts[1:], len(line) + 1]
    return {name.upper(): line[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)}


def _event_row(taken: Taken, line_no: int, cells: Mapping[str, str]) -> Verdict:
    age = cells.get("LAST SEEN") or cells.get("AGE") or ""
    if not cells.get("REASON") or not cells.get("TYPE"):
        return Verdict.UNKNOWN
    kind, _, name = cells.get("OBJECT", "").partition("/")
    return taken.happened(
        line_no, _ago(taken.now, age), cells["REASON"], kind, name, cells.get("MESSAGE", ""), cells["TYPE"] == "Warning"
    )


def _workload_row(taken: Taken, line_no: int, cells: Mapping[str, str]) -> Verdict:
    told = cells.get("REPLICAS") or cells.get("READY", "").partition("/")[0]
    if not cells.get("NAME") or not told.isdigit():
        return Verdict.UNKNOWN
    name = cells["NAME"].rpartition("/")[2]
    taken.counts.append(Count(line_no, taken.now, name, float(told)))
    return Verdict.UNDERSTOOD


def _ago(now: datetime | None, age: str) -> datetime | None:
    """Return the time of so long ago; None where either is unknown."""
    told = age.partition("(")[0]
    found = _AGE.findall(told)
    if now is None or not found:
        return times.parse(told) if "T" in told else None
    return now - timedelta(seconds=sum(int(number) * _UNITS_S[unit] for number, unit in found))


FORMAT = Format(
    name="kubernetes_events",
    engine=None,
    tables=("event", "metric_sample"),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '{\n    "apiVersion": "v1",\n    "items": [\n'
            '        {"apiVersion":"v1","kind":"Event","metadata":{"name":"orders.1","namespace":"shop"},'
            '"involvedObject":{"kind":"Deployment","name":"orders","namespace":"shop"},"reason":"ScalingReplicaSet",'
            '"message":"Scaled up replica set orders-7d9c5b6f4 to 12 from 4","type":"Normal","firstTimestamp":"2026-11-21T03:12:00Z",'
            '"lastTimestamp":"2026-11-21T03:12:00Z","count":1},\n'
            '        {"apiVersion":"v1","kind":"Event","metadata":{"name":"x","namespace":"shop"},'
            '"involvedObject":{"kind":"Pod","name":"orders-7d9c5b6f4-x2v9k"},"reason":"Started","message":"Started container",'
            '"type":"Normal","lastTimestamp":"2026-11-21T03:12:02Z"},\n'
            '        {"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"y"},'
            '"regarding":{"kind":"Pod","name":"orders-7d9c5b6f4-x2v9k"},"reason":"Unhealthy","note":"Readiness probe failed",'
            '"type":"Warning","eventTime":"2026-11-21T03:13:00.123456Z"},\n'
            '        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":8},'
            '"status":{"replicas":8,"readyReplicas":7}}\n'
            '    ],\n    "kind": "List"\n}\n',
            {
                "event": (
                    {"line_no": 4, "event_at": "2026-11-21T03:12:00", "kind": "annotation", "reason": "scale",
                     "application_name": "orders",
                     "detail": "ScalingReplicaSet deployment/orders: Scaled up replica set orders-7d9c5b6f4 to 12 from 4"},
                    {"line_no": 6, "event_at": "2026-11-21T03:13:00.123456", "reason": "unhealthy", "application_name": "orders",
                     "detail": "Unhealthy pod/orders-7d9c5b6f4-x2v9k: Readiness probe failed"},
                ),
                "metric_sample": (
                    {"line_no": 4, "sampled_at": "2026-11-21T03:12:00", "name": "workers", "labels": {"service": "orders"},
                     "value": 12.0},
                    {"line_no": 7, "sampled_at": None, "name": "workers", "labels": {"service": "web"}, "value": 7.0},
                ),
            },
            name="events.json",
        ),
        Sample(
            "LAST SEEN   TYPE      REASON              OBJECT                            MESSAGE\n"
            "5m12s       Normal    ScalingReplicaSet   deployment/orders                 Scaled up replica set orders-7d9c5b6f4 to 3\n"
            "90s         Warning   BackOff             pod/orders-7d9c5b6f4-x2v9k        Back-off restarting failed container\n"
            "80s         Normal    Pulled              pod/orders-7d9c5b6f4-x2v9k        Container image already present\n",
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:14:48", "reason": "scale", "application_name": "orders"},
                    {"line_no": 3, "event_at": "2026-11-21T03:18:30", "reason": "unhealthy"},
                ),
                "metric_sample": (
                    {"line_no": 2, "sampled_at": "2026-11-21T03:14:48", "name": "workers", "value": 3.0},
                ),
            },
            name="events-2026-11-21T03:20:00Z.txt",
        ),
        Sample(
            "NAME     READY   UP-TO-DATE   AVAILABLE   AGE\norders   11/12   12           11          40d\n",
            {
                "metric_sample": (
                    {"line_no": 2, "sampled_at": None, "name": "workers", "labels": {"service": "orders"}, "value": 11.0},
                )
            },
            name="deploy.txt",
        ),
    ),
)  # fmt: skip
