"""Worker counts wherever they are told: which names mean them, and how they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from connforensics.evidence.series import Number

if TYPE_CHECKING:
    import pyarrow as pa

    from connforensics.evidence import Reading

TARGET: Final = "workers"

NAMES: Final = {
    "workers": 0, "worker_count": 0, "worker": 9, "ready_replicas": 1, "available_replicas": 1, "running_tasks": 1,
    "ready_workers": 1, "running_workers": 1, "ready": 2, "running": 2, "available": 9, "replicas": 3, "replica_count": 3,
    "instances": 3, "instance_count": 3, "pods": 3, "pod_count": 3, "processes": 3, "process_count": 3, "dynos": 3,
    "containers": 3, "tasks": 3, "current_replicas": 4, "updated_replicas": 5, "num_workers": 0, "num_replicas": 3,
    "num_instances": 3, "desired_replicas": 6, "desired": 6, "spec_replicas": 6, "kube_deployment_status_replicas": 3,
    "kube_deployment_status_replicas_available": 1, "kube_deployment_status_replicas_ready": 1, "concurrency": 5,
    "in_service_instances": 1, "capacity": 9,
}  # fmt: skip
"""Names for a number of workers; where several are given, those that say what ran go before those that say what was
wanted. A rank of 9 is too weak to count."""

STRONG: Final = frozenset(
    (
        "workers",
        "worker",
        "replicas",
        "replica",
        "instances",
        "pods",
        "pod",
        "processes",
        "dynos",
        "containers",
        "tasks",
    )
)
"""Words that only counts of workers bear."""


def meaning(words: tuple[str, ...]) -> Number | None:
    """Return the number of workers where a name, given as words, means it.

    >>> meaning(("replicas",)), meaning(("active",))
    (Number(target='workers', factor=1.0, rank=3), None)
    """
    rank = NAMES.get("_".join(words), 9)
    return Number(TARGET, rank=rank) if rank < 9 else None


def store(reading: Reading, rows: pa.Table) -> None:
    """Store the worker counts among rows of `line_no`, `sampled_at`, `service` and `workers`."""
    import pyarrow as pa

    told = rows.filter(pc.is_valid(rows[TARGET]))
    if not told.num_rows:
        return
    labels = pa.array(
        [[("service", service)] if service is not None else [] for service in told["service"].to_pylist()],
        pa.map_(pa.string(), pa.string()),
    )
    reading.insert(
        "metric_sample",
        pa.table(
            {
                "line_no": told["line_no"],
                "sampled_at": told["sampled_at"],
                "name": pa.array([TARGET] * told.num_rows, pa.string()),
                "labels": labels,
                "value": told[TARGET],
            }
        ),
    )
