"""Marks as JSON: alerts and incidents, annotations, deployments, and what people wrote to each other.

Obtained from Grafana (`/api/annotations`), Alertmanager (`/api/v2/alerts`, or what it posts to a webhook), Prometheus
(`/api/v1/alerts`), PagerDuty (`/incidents`, `/log_entries`, its webhooks), Opsgenie (`/v2/alerts`, its webhooks), GitHub
(`/deployments`), `helm history -o json`, a Slack export or `conversations.history`, or written by hand: objects with a time
and what happened, one a line, in an array, or in an object around it. An alert that says when it ended is two marks, and
so is an annotation over a stretch of time.

https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
https://prometheus.io/docs/alerting/latest/clients/
https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from connforensics.evidence import Format, Head, Reading, Sample, json_records, marks, times
from connforensics.evidence.json_records import Path, Record, Scanner, Verdict
from connforensics.evidence.marks import Mark

WRAPPERS: Final = frozenset(
    (
        "alerts",
        "incidents",
        "log_entries",
        "messages",
        "annotations",
        "deployments",
        "events",
        "data",
        "marks",
        "releases",
    )
)
"""Members that hold the marks of an answer."""

TIMES: Final = (
    "time", "timestamp", "ts", "at", "when", "date", "datetime", "event_at", "start", "started_at", "created_at", "createdAt",
    "occurred_at", "startsAt", "activeAt", "updated", "deployed_at", "fired_at", "@timestamp", "epoch",
)  # fmt: skip
ENDS: Final = ("timeEnd", "endsAt", "resolved_at", "ended_at", "end", "end_time")
TEXTS: Final = (
    "text", "title", "message", "summary", "description", "what", "event", "note", "annotation", "alertname", "alertName",
    "name", "comment", "details", "release", "version",
)  # fmt: skip
KIND_WORDS: Final = ("kind", "type", "event_type", "category", "action", "status")
SERVICES: Final = ("service", "service_name", "app", "application", "deployment", "component")

FOREIGN: Final = frozenset(
    ("level", "severity", "loglevel", "log_level", "levelname", "logger", "thread", "stack_trace", "query", "pid", "sqlstate",
     "backend_id", "state_code", "method", "path", "url", "duration", "value", "metric", "involvedObject", "resource",
     "logName", "textPayload", "jsonPayload", "error_severity", "prio", "stream", "kubernetes")
)  # fmt: skip
"""Members of logs and measurements, which have times and texts as well."""

SHARE_KNOWN: Final = 0.5
HEAD_VALUES: Final = 50
NEVER: Final = datetime(1980, 1, 1)
"""An end before this is Alertmanager's way to say that there is none."""

_WRAPPED = re.compile(rf'^\s*\{{[^\[]{{0,4000}}?"(?:{"|".join(sorted(WRAPPERS))})"\s*:\s*(?:\{{\s*"alerts"\s*:\s*)?\[')
_MENTION = re.compile(r"<(?:https?://[^|>]+\|([^>]+)|([^>]+))>")


def opens(path: Path, bracket: str) -> bool:
    """Tell whether a container holds marks, where marks stand in an object around them."""
    keys = [key for key in path if key != "*"]
    if bracket == "[":
        return len(keys) <= 2 and path.count("*") <= 1 and all(key in WRAPPERS for key in keys)
    return (not keys and path.count("*") == 0) or (keys == ["data"] and path[-1] == "data")


def opens_arrays(path: Path, bracket: str) -> bool:
    """Tell whether a container is an array around marks."""
    return bracket == "[" and path in ((), ("*",))


def certainty(head: Head) -> float:
    """Return how sure a head holds marks: by the members of the tools that write them, else by the words for what happened."""
    text = "\n".join(head.lines)[:200_000]
    if text.lstrip()[:1] not in ("{", "["):
        return 0.0
    objects = []
    for found in Scanner([text.encode()], _opener(head)).values():
        if isinstance(found, Record) and isinstance(found.value, dict):
            objects.append(found.value)
        if len(objects) >= HEAD_VALUES:
            break
    if not objects:
        return 0.0
    told = [list(_marks(0, one, None)) for one in objects]
    share = sum(map(bool, told)) / len(objects)
    if share < SHARE_KNOWN:
        return 0.0
    if sum(_tool(one) is not None for one in objects) >= SHARE_KNOWN * len(objects):
        return 0.94 * share
    words = [mark.detail for found in told for mark in found] + [
        word for one in objects for word in (one.get("kind"), one.get("type")) if isinstance(word, str)
    ]
    known = sum(any(re.search(pattern, word, re.IGNORECASE) for _, pattern in marks.KINDS) for word in words)
    return 0.92 * share if known >= SHARE_KNOWN * len(objects) else 0.0


def _opener(head: Head) -> json_records.Opens:
    return opens if _WRAPPED.match("\n".join(head.lines[:200])[:20_000]) else opens_arrays


def read(reading: Reading) -> None:
    """Store an `annotation` for each mark."""
    batch: list[Mark] = []
    for record, lines in json_records.records(reading, _opener(reading.head)):
        verdict = Verdict.IGNORED
        if isinstance(record.value, dict):
            found = list(_marks(record.first_line, record.value, reading))
            batch += found
            is_silent = _tool(record.value) is not None or record.value.get("subtype") is not None
            verdict = Verdict.UNDERSTOOD if found else Verdict.IGNORED if is_silent else Verdict.UNKNOWN
            if verdict is Verdict.UNKNOWN:
                reading.ledger.example(record.first_line, str(record.value))
        lines.account(record.first_line, record.last_line, verdict)
        if len(batch) >= 10_000:
            marks.store(reading, batch)
            batch.clear()
    marks.store(reading, batch)


def _tool(one: Mapping[str, object]) -> str | None:
    """Return which tool writes such an object; None for any other."""
    labels = one.get("labels")
    if isinstance(labels, dict) and "alertname" in labels and ("startsAt" in one or "activeAt" in one):
        return "alertmanager"
    if "time" in one and "text" in one and {"dashboardId", "dashboardUID", "panelId", "tags", "timeEnd"} & one.keys():
        return "grafana"
    if "incident_number" in one or str(one.get("type", "")).endswith("_log_entry"):
        return "pagerduty"
    if isinstance(one.get("event"), dict) and "occurred_at" in one["event"]:  # type: ignore[operator]
        return "pagerduty webhook"
    if "tinyId" in one:
        return "opsgenie"
    if isinstance(one.get("alert"), dict) and "action" in one:
        return "opsgenie webhook"
    if one.get("type") == "message" and re.fullmatch(r"\d{10}\.\d{1,6}", str(one.get("ts", ""))):
        return "slack"
    if {"revision", "updated", "chart"} <= one.keys():
        return "helm"
    if {"environment", "ref", "created_at"} <= one.keys():
        return "github"
    return None


def _marks(line_no: int, one: Mapping[str, object], reading: Reading | None) -> Iterator[Mark]:
    """Yield the marks an object tells."""
    tool = _tool(one)
    flat = json_records.strings(one)
    service, user = next((flat[name] for name in SERVICES if flat.get(name)), None), None
    kind: str | None = None
    if tool == "alertmanager":
        labels = json_records.strings(one["labels"])
        notes = json_records.strings(one.get("annotations"))
        service = next((labels[name] for name in SERVICES if labels.get(name)), None)
        said = notes.get("summary") or notes.get("description") or notes.get("message") or ""
        flat["text"] = ": ".join(filter(None, (labels["alertname"], said)))
        status = one.get("status")
        state = status if isinstance(status, str) else json_records.strings(status).get("state", "")
        if state != "resolved":
            flat.pop("endsAt", None)
        kind = "alert"
    elif tool == "pagerduty":
        named = one.get("service")
        service = str(named.get("summary")) if isinstance(named, dict) and named.get("summary") else service
        flat["text"] = flat.get("title") or flat.get("summary") or flat.get("description") or ""
        kind = "alert"
    elif tool == "pagerduty webhook":
        inner = one["event"]
        data = inner.get("data") if isinstance(inner, dict) else None
        said = json_records.strings(data).get("title", "")
        flat = json_records.strings(inner)
        flat["text"] = " ".join(filter(None, (flat.get("event_type"), said)))
        kind = "alert"
    elif tool == "opsgenie webhook":
        flat = json_records.strings(one["alert"])
        flat["text"] = f"{one['action']}: {flat.get('message', '')}"
        kind = "alert"
    elif tool == "opsgenie":
        flat["text"], kind = flat.get("message", ""), "alert"
    elif tool == "slack":
        if one.get("subtype") in ("channel_join", "channel_leave", "channel_topic", "channel_purpose"):
            return
        profile = json_records.strings(one.get("user_profile"))
        user = profile.get("real_name") or profile.get("display_name") or flat.get("username") or flat.get("user")
        flat["text"] = _MENTION.sub(lambda found: found[1] or found[2], flat.get("text", ""))
        flat["time"] = flat.pop("ts")
    elif tool == "helm":
        flat["text"] = " ".join(filter(None, (flat.get("chart"), flat.get("description"))))
        flat["time"], kind = flat["updated"], "rollback" if "ollback" in flat["text"] else "deploy"
    elif tool == "github":
        flat["text"] = " ".join(filter(None, (flat.get("description"), flat["ref"], "to", flat["environment"])))
        flat["time"], kind = flat["created_at"], "deploy"
    elif tool is None and FOREIGN & one.keys():
        return
    at = next((moment for name in TIMES if name in flat and (moment := _time(flat[name], reading)) is not None), None)
    said = next((flat[name] for name in TEXTS if flat.get(name)), "")
    word = next((flat[name] for name in KIND_WORDS if flat.get(name)), None) if tool is None else None
    tags = one.get("tags")
    tagged = " ".join(map(str, tags)) if isinstance(tags, list) else flat.get("tags", "")
    if at is None or not (said or word):
        return
    if kind is None:
        kind = marks.kind_of(word or tagged or None, said) if tool != "slack" else marks.kind_of(None, said)
        if tool == "grafana" and (flat.get("alertName") or flat.get("newState")):
            kind = "alert"
        known = {name for name, _ in marks.KINDS}
        if tagged and not word and kind not in known:
            kind = marks.kind_of(None, said)
    detail = f"{service}: {said or word}" if service and service not in said else said or word or ""
    if tool == "slack" and user:
        detail = f"{user}: {detail}"
    whole = " ".join(filter(None, (word or tagged, said)))
    yield Mark(line_no, at, kind, detail, service, whole, user)
    ended = next((moment for name in ENDS if name in flat and (moment := _time(flat[name], reading)) is not None), None)
    if ended is not None and ended > max(at, NEVER) + timedelta(milliseconds=1):
        yield Mark(line_no, ended, kind, f"{detail} (ended)", service, whole, user)


def _time(text: str, reading: Reading | None) -> datetime | None:
    """Return a time, text or epoch number, as naive UTC."""
    zone = reading.options.timezone if reading is not None else None
    written = re.sub(r"\.(\d{6})\d+", r".\1", text)
    moment = times.parse(written, zone)
    if moment is not None and reading is not None and times.is_zoneless([written]):
        reading.ledger.assume(times.zone_assumed(zone))
    return moment


FORMAT = Format(
    name="marks_json",
    engine=None,
    tables=("event",),
    certainty=certainty,
    read=read,
    samples=(
        Sample(
            '[\n{"id":7,"dashboardUID":"abc","panelId":2,"time":1795230720000,"timeEnd":1795230780000,"text":"orders 4.2",'
            '"tags":["deploy","orders"]},\n'
            '{"id":8,"dashboardUID":"abc","panelId":2,"time":1795230730000,"timeEnd":1795230730000,"text":"",'
            '"alertName":"TooManyConnections","newState":"alerting","tags":[]}\n]\n',
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00", "kind": "annotation", "reason": "deploy",
                     "detail": "orders 4.2"},
                    {"line_no": 2, "event_at": "2026-11-21T03:13:00", "reason": "deploy", "detail": "orders 4.2 (ended)"},
                    {"line_no": 3, "event_at": "2026-11-21T03:12:10", "reason": "alert", "detail": "TooManyConnections"},
                )
            },
            name="annotations.json",
        ),
        Sample(
            '{"receiver":"team","status":"resolved","alerts":[\n'
            '{"status":"resolved","labels":{"alertname":"PgFull","service":"orders"},"annotations":{"summary":"db1 is full"},'
            '"startsAt":"2026-11-21T03:12:00.123456789Z","endsAt":"2026-11-21T03:20:00Z"},\n'
            '{"status":"firing","labels":{"alertname":"Slow"},"annotations":{},"startsAt":"2026-11-21T03:13:00Z",'
            '"endsAt":"0001-01-01T00:00:00Z"}]}\n',
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00.123456", "reason": "alert", "application_name": "orders",
                     "detail": "orders: PgFull: db1 is full"},
                    {"line_no": 2, "event_at": "2026-11-21T03:20:00", "detail": "orders: PgFull: db1 is full (ended)"},
                    {"line_no": 3, "event_at": "2026-11-21T03:13:00", "reason": "alert", "detail": "Slow"},
                )
            },
            name="webhook.json",
        ),
        Sample(
            '[\n    {\n        "type": "message",\n        "user": "U02",\n        "text": "restarting <https://x/|orders> now",\n'
            '        "ts": "1795230720.000100",\n        "user_profile": {"real_name": "Ada"}\n    },\n'
            '    {"type": "message", "subtype": "channel_join", "user": "U03", "text": "joined", "ts": "1795230721.000100"}\n]\n',
            {
                "event": (
                    {"line_no": 2, "event_at": "2026-11-21T03:12:00.000100", "reason": "restart", "user_name": "Ada",
                     "detail": "Ada: restarting orders now"},
                )
            },
            name="slack.json",
        ),
        Sample(
            '{"time":"2026-11-21T03:05:00Z","kind":"deployment","text":"orders 4.2 to production","service":"orders"}\n'
            '{"time":"2026-11-21T03:20:00+00:00","title":"rolled back","tags":["orders"]}\n',
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:05:00", "reason": "deploy", "application_name": "orders",
                     "detail": "orders 4.2 to production"},
                    {"line_no": 2, "event_at": "2026-11-21T03:20:00", "reason": "rollback", "detail": "rolled back"},
                )
            },
            name="marks.jsonl",
        ),
        Sample(
            '{"incidents":[{"id":"P1","incident_number":12,"title":"too many clients","created_at":"2026-11-21T03:12:00Z",'
            '"status":"resolved","resolved_at":"2026-11-21T03:30:00Z","service":{"summary":"orders"}}],"limit":25}\n',
            {
                "event": (
                    {"line_no": 1, "event_at": "2026-11-21T03:12:00", "reason": "alert", "detail": "orders: too many clients"},
                    {"line_no": 1, "event_at": "2026-11-21T03:30:00", "detail": "orders: too many clients (ended)"},
                )
            },
            name="incidents.json",
        ),
    ),
)  # fmt: skip
