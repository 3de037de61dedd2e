"""Marks: alerts, deployments, chats, what Kubernetes and Patroni did."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from connforensics.evidence import ReadOptions
from tests.test_formats import Read, read

AT = datetime(2026, 11, 21, 3, 12)


def told(found: Read) -> list[tuple[object, object, object]]:
    rows = sorted(found.rows["event"], key=lambda row: (row["line_no"], str(row["event_at"])))
    return [(row["event_at"], row["reason"], row["detail"]) for row in rows]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (
            [{"labels": {"alertname": "PgFull", "job": "pg"}, "annotations": {"description": "no slots"}, "state": "firing",
              "startsAt": "2026-11-21T03:12:00Z", "endsAt": "2026-11-21T04:12:00Z", "status": {"state": "active"}, "fingerprint": "x"}],
            [(AT, "alert", "PgFull: no slots")],
        ),
        (
            {"status": "success", "data": {"alerts": [{"labels": {"alertname": "PgFull"}, "annotations": {}, "state": "firing",
                                                       "activeAt": "2026-11-21T03:12:00.123456789Z", "value": "1e+00"}]}},
            [(datetime(2026, 11, 21, 3, 12, 0, 123456), "alert", "PgFull")],
        ),
        (
            {"event": {"id": "1", "event_type": "incident.triggered", "occurred_at": "2026-11-21T03:12:00Z",
                       "data": {"type": "incident", "title": "too many clients"}}},
            [(AT, "alert", "incident.triggered too many clients")],
        ),
        (
            {"log_entries": [{"id": "R1", "type": "acknowledge_log_entry", "summary": "Acknowledged by Ada.", "created_at": "2026-11-21T03:12:00Z"}]},
            [(AT, "alert", "Acknowledged by Ada.")],
        ),
        (
            {"data": [{"id": "a", "tinyId": "7", "message": "db full", "status": "open", "createdAt": "2026-11-21T03:12:00Z"}], "took": 0.1},
            [(AT, "alert", "db full")],
        ),
        (
            {"action": "Create", "alert": {"alertId": "1", "message": "db full", "createdAt": 1795230720000}, "source": {"name": "web"}},
            [(AT, "alert", "Create: db full")],
        ),
        (
            [{"revision": 7, "updated": "2026-11-21T03:12:00.000Z", "status": "deployed", "chart": "orders-4.2.0", "app_version": "4.2",
              "description": "Rollback to 5"}],
            [(AT, "rollback", "orders-4.2.0 Rollback to 5")],
        ),
        (
            [{"id": 1, "ref": "v4.2", "environment": "production", "description": "", "created_at": "2026-11-21T03:12:00Z", "task": "deploy"}],
            [(AT, "deploy", "v4.2 to production")],
        ),
        (
            {"ok": True, "messages": [{"type": "message", "user": "U1", "text": "we are <!here> full", "ts": "1795230720.000000"}]},
            [(AT, "note", "U1: we are !here full")],
        ),
        (
            [{"time": 1795230720, "what": "restarted by hand", "service": "orders"}, {"time": "2026-11-21T03:12:00Z", "kind": "note", "text": "calm"}],
            [(AT, "restart", "orders: restarted by hand"), (AT, "note", "calm")],
        ),
    ],
    ids=["alertmanager", "prometheus", "pagerduty-hook", "pagerduty-log", "opsgenie", "opsgenie-hook", "helm", "github", "slack", "by-hand"],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 2])
def test_the_tools_marks_are_read(content: object, rows: list[object], indent: int | None, tmp_path: Path) -> None:
    found = read(json.dumps(content, indent=indent), tmp_path)
    assert found.source["format"] == "marks_json"
    assert sorted(told(found), key=str) == sorted(rows, key=str)
    assert found.source["unknown"] == 0


def test_a_zone_is_told_where_the_marks_do_not(tmp_path: Path) -> None:
    content = json.dumps([{"time": "2026-11-21 04:12:00", "kind": "deploy", "text": "orders 4.2"}])
    found = read(content, tmp_path, options=ReadOptions(timezone="Europe/Berlin"))
    assert told(found) == [(AT, "deploy", "orders 4.2")]
    assert found.assumptions == ["times without a zone are read as Europe/Berlin, as told"]


# Kubernetes


def event(
    reason: str, message: str, at: str, kind: str = "Deployment", name: str = "orders", level: str = "Normal"
) -> dict[str, object]:
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.1", "namespace": "shop"},
        "involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message, "type": level,
        "firstTimestamp": None, "lastTimestamp": at, "source": {"component": "x"},
    }  # fmt: skip


def listed(*events: dict[str, object]) -> str:
    return json.dumps(
        {"apiVersion": "v1", "items": list(events), "kind": "List", "metadata": {"resourceVersion": ""}}, indent=4
    )


def counts(found: Read) -> list[tuple[object, object, object]]:
    rows = sorted(found.rows["metric_sample"], key=lambda row: (str(row["sampled_at"]), row["line_no"]))
    return [(row["sampled_at"], dict(row["labels"])["service"], row["value"]) for row in rows]  # type: ignore[call-overload]


def test_the_workers_of_a_rollout_are_those_of_both_replica_sets(tmp_path: Path) -> None:
    found = read(
        listed(
            event("ScalingReplicaSet", "Scaled down replica set orders-old to 3 from 4", "2026-11-21T03:12:20Z"),
            event("ScalingReplicaSet", "Scaled up replica set orders-new to 1", "2026-11-21T03:12:10Z"),
            event("ScalingReplicaSet", "Scaled up replica set orders-new to 4 from 1", "2026-11-21T03:12:30Z"),
        ),
        tmp_path,
    )
    assert counts(found) == [
        (datetime(2026, 11, 21, 3, 12, 10), "orders", 5.0),
        (datetime(2026, 11, 21, 3, 12, 20), "orders", 4.0),
        (datetime(2026, 11, 21, 3, 12, 30), "orders", 7.0),
    ]


def test_workers_are_not_counted_while_a_replica_set_is_unknown(tmp_path: Path) -> None:
    found = read(
        listed(
            event("ScalingReplicaSet", "Scaled up replica set orders-new to 1", "2026-11-21T03:12:10Z"),
            event("ScalingReplicaSet", "Scaled down replica set orders-old to 9", "2026-11-21T03:12:20Z"),
        ),
        tmp_path,
    )
    assert counts(found) == [(datetime(2026, 11, 21, 3, 12, 20), "orders", 10.0)]


def test_an_autoscalers_size_counts_where_no_deployment_tells(tmp_path: Path) -> None:
    message = "New size: 12; reason: cpu resource utilization above target"
    found = read(
        listed(event("SuccessfulRescale", message, "2026-11-21T03:12:00Z", "HorizontalPodAutoscaler", "web")), tmp_path
    )
    assert counts(found) == [(AT, "web", 12.0)]
    assert told(found)[0][1] == "scale"


def test_a_pods_ordinary_start_is_recognised_and_silent(tmp_path: Path) -> None:
    found = read(
        listed(
            event("Started", "Started container app", "2026-11-21T03:12:00Z", "Pod", "orders-7d9c5b6f4-x2v9k"),
            event("OOMKilling", "Memory cgroup out of memory", "2026-11-21T03:12:00Z", "Node", "n1", "Warning"),
            event("Failed", "Error: ImagePullBackOff", "2026-11-21T03:12:00Z", "Pod", "orders-0", "Warning"),
        ),
        tmp_path,
    )
    assert [reason for _, reason, _ in told(found)] == ["restart", "unhealthy"]
    assert found.source["unknown"] == 0


def test_a_watched_stream_of_events_is_read(tmp_path: Path) -> None:
    content = "".join(
        json.dumps(
            {
                "type": "ADDED",
                "object": event("Killing", "Stopping container app", "2026-11-21T03:12:00Z", "Pod", f"orders-{n}"),
            }
        )
        + "\n"
        for n in range(3)
    )
    assert len(told(read(content, tmp_path))) == 3


def test_ages_without_a_time_to_count_from_leave_the_time_unknown(tmp_path: Path) -> None:
    content = (
        "LAST SEEN              TYPE      REASON    OBJECT         MESSAGE\n"
        "2m (x5 over 10m)       Warning   BackOff   pod/orders-0   Back-off restarting failed container\n"
    )
    found = read(content, tmp_path)
    assert told(found) == [(None, "unhealthy", "BackOff pod/orders-0: Back-off restarting failed container")]
    assert any("when is unknown" in text for text in found.assumptions)


def test_replicas_of_every_kind_of_workload_are_counted(tmp_path: Path) -> None:
    objects = [
        {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": kind.lower()}, "spec": {"replicas": 5}, "status": status}
        for kind, status in (
            ("Deployment", {"replicas": 5, "readyReplicas": 4}), ("StatefulSet", {"replicas": 3}), ("DaemonSet", {"numberReady": 2}),
            ("HorizontalPodAutoscaler", {"currentReplicas": 7}), ("ReplicaSet", {"replicas": 4}), ("Service", {}),
        )
    ]  # fmt: skip
    found = read(listed(*objects), tmp_path, "state-20261121T031200Z.json")
    assert sorted(counts(found), key=str) == [
        (AT, "daemonset", 2.0), (AT, "deployment", 4.0), (AT, "horizontalpodautoscaler", 7.0), (AT, "statefulset", 3.0),
    ]  # fmt: skip


# Patroni


def test_patronis_calm_is_silent_and_its_failover_is_told(tmp_path: Path) -> None:
    lines = [
        "2026-11-21 03:11:50,000 INFO: Lock owner: db1; I am db2",
        "2026-11-21 03:11:50,100 INFO: no action. I am (db2), a secondary, and following a leader (db1)",
        "2026-11-21 03:12:00,000 WARNING: Request failed to db1: GET http://10.0.0.1:8008/patroni",
        "2026-11-21 03:12:00,000 INFO: promoted self to leader by acquiring session lock",
        "2026-11-21 03:12:00,100 INFO: cleared rewind state after becoming the leader",
        "server promoting",
        "2026-11-21 03:12:10,000 INFO: no action. I am (db2), the leader with the lock",
    ]
    found = read("\n".join(lines) + "\n", tmp_path)
    assert found.source["format"] == "patroni_log"
    assert told(found) == [(AT, "failover", "promoted self to leader by acquiring session lock")]
    assert {row["kind"] for row in found.rows["event"]} == {"annotation"}, "a witness at second hand ends no session"
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (1, 5, 1)


def test_patroni_without_brackets_and_with_a_zone(tmp_path: Path) -> None:
    content = (
        "2026-11-21T04:12:00.500+0100 INFO: Lock owner: db2; I am db2\n"
        "2026-11-21T04:12:01.500+0100 INFO: demoting self because DCS is not accessible and I was a leader\n"
    )
    assert [(at, reason) for at, reason, _ in told(read(content, tmp_path))] == [
        (datetime(2026, 11, 21, 3, 12, 1, 500000), "failover")
    ]
