"""Pool numbers, worker counts, settings and marks by the names people give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from connforensics.evidence import ReadOptions, identify, pool_csv, series, workers
from tests.test_formats import Read, head_of, read

TIME = "2026-11-21T03:12:00Z"


def pools(found: Read, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[column] for column in columns) for row in found.rows["pool_sample"]]


def worker_counts(found: Read) -> list[tuple[object, object]]:
    return [(dict(row["labels"]).get("service"), row["value"]) for row in found.rows["metric_sample"]]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "target", "factor"),
    [
        ("max", "max_size", 1), ("maximumPoolSize", "max_size", 1), ("pool_max", "max_size", 1), ("limit", "max_size", 1),
        ("pool_size", "size", 1), ("total_connections", "size", 1), ("connections", "size", 1), ("open", "size", 1),
        ("in_use", "checked_out", 1), ("checkedOut", "checked_out", 1), ("active_connections", "checked_out", 1),
        ("busy", "checked_out", 1), ("numBorrowed", "checked_out", 1), ("hikaricp_active_connections", "checked_out", 1),
        ("pool_available", "idle", 1), ("free", "idle", 1), ("checked_in", "idle", 1), ("idle connections", "idle", 1),
        ("requests_waiting", "waiting", 1), ("pending", "waiting", 1), ("queue length", "waiting", 1), ("waiting_clients", "waiting", 1),
        ("overflow", "overflow", 1), ("timeouts", "timeouts", 1), ("connection_timeout_total", "timeouts", 1),
        ("acquire_ms", "acquire_ms", 1), ("wait_s", "acquire_ms", 1000), ("acquire_p99_ms", "acquire_ms", 1),
        ("checkout_wait_us", "acquire_ms", 0.001), ("workers", "workers", 1), ("replicas", "workers", 1),
    ],
)  # fmt: skip
def test_names_people_give_a_pools_numbers(name: str, target: str, factor: float) -> None:
    found = pool_csv.meaning(series.words(name))
    assert found is not None
    assert (found.target, found.factor) == (target, factor)


@pytest.mark.parametrize(
    "name",
    ["requests_queued", "requests_num", "requests_wait_ms", "connections_num", "pool_min", "minimumIdle", "wait_count",
     "usage_ms", "cpu", "latency_ms", "duration_ms", "requests", "errors_per_second", "count"],
)  # fmt: skip
def test_counters_and_other_numbers_are_not_gauges(name: str) -> None:
    assert pool_csv.meaning(series.words(name)) is None


def test_what_was_not_read_is_said(tmp_path: Path) -> None:
    found = read(f"time,service,checked_out,idle,requests_queued,colour\n{TIME},web,3,1,900,red\n", tmp_path)
    assert pools(found, "service", "checked_out", "idle", "waiting") == [("web", 3.0, 1.0, None)]
    assert "not read: colour, requests_queued" in found.assumptions


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    text = (
        f"time,service,size,checked_out\n{TIME},web,,\n2026-11-21T03:12:05Z,web,5,NaN\n2026-11-21T03:12:06Z,web,x,y\n"
    )
    found = read(text, tmp_path)
    assert pools(found, "line_no", "size", "checked_out") == [(3, 5.0, None)]
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (1, 2, 1)


def test_one_pool_without_a_name(tmp_path: Path) -> None:
    found = read(f"ts,pool_size,in_use,waiting\n{TIME},5,5,2\n", tmp_path)
    assert pools(found, "service", "size", "checked_out", "waiting") == [(None, 5.0, 5.0, 2.0)]
    assert "no column names a service: all numbers are read as one pool's" in found.assumptions


def test_a_long_table_becomes_one_row_a_pool_and_time(tmp_path: Path) -> None:
    names = {"active": 4, "idle": 1, "max": 10, "pending": 0}
    text = "timestamp,service,instance,name,value\n" + "".join(
        f"2026-11-21T03:12:{second:02d}Z,web,{instance},{name},{value + second}\n"
        for name, value in names.items()
        for second in range(3)
        for instance in ("a", "b")
    )
    found = read(text, tmp_path)
    assert pools(found, "instance", "checked_out", "idle", "max_size", "waiting") == [
        (instance, 4.0 + second, 1.0 + second, 10.0 + second, 0.0 + second)
        for second in range(3)
        for instance in ("a", "b")
    ]
    assert found.source["understood"] == 24


def test_decimal_commas(tmp_path: Path) -> None:
    found = read(f"time;service;checked_out;idle;acquire_ms\n{TIME};web;3;1;12,5\n", tmp_path)
    assert pools(found, "acquire_ms") == [(12.5,)]


def test_negative_overflow_is_as_told(tmp_path: Path) -> None:
    found = read(f"time,app,size,checkedout,overflow\n{TIME},web,5,2,-3\n", tmp_path)
    assert pools(found, "size", "checked_out", "overflow") == [(5.0, 2.0, -3.0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"time,service,replicas\n{TIME},web,4\n", [("web", 4.0)]),
        (f"time;deployment;desired;ready\n{TIME};web;6;4\n", [("web", 4.0)]),
        (f"time,name,pods\n{TIME},web,4\n", [("web", 4.0)]),
        (f"time,workers\n{TIME},4\n", [(None, 4.0)]),
        (f"time,web_workers,orders_workers\n{TIME},4,2\n", [("orders", 2.0), ("web", 4.0)]),
        (f"time,service,metric,value\n{TIME},web,replicas,4\n", [("web", 4.0)]),
        (f"time,app,instances\n{TIME},web,4\n", [("web", 4.0)]),
    ],
)
def test_workers_by_the_names_people_give_them(
    text: str, expected: list[tuple[object, object]], tmp_path: Path
) -> None:
    found = read(text, tmp_path)
    assert found.source["format"] == "workers_csv"
    assert sorted(worker_counts(found), key=str) == sorted(expected, key=str)


def test_bare_service_columns_are_workers_only_when_said_so(tmp_path: Path) -> None:
    text = f"time,orders,web-shop\n{TIME},4,2\n"
    assert not identify(head_of(text, "workers.csv"))
    found = read(text, tmp_path, options=ReadOptions(format="workers_csv"))
    assert worker_counts(found) == [("orders", 4.0), ("web-shop", 2.0)]


def test_what_ran_goes_before_what_was_wanted() -> None:
    ready, desired = workers.meaning(("ready",)), workers.meaning(("desired",))
    assert ready is not None
    assert desired is not None
    assert ready.rank < desired.rank


def test_the_last_line_of_a_configuration_counts(tmp_path: Path) -> None:
    text = "max_connections = 100\nshared_buffers = 128MB # a note\nlog_line_prefix = '%m [%p] it''s '\nmax_connections = 300\n"
    found = read(text, tmp_path)
    assert [(row["line_no"], row["name"], row["value"]) for row in found.rows["setting"]] == [
        (2, "shared_buffers", "128MB"),
        (3, "log_line_prefix", "%m [%p] it's "),
        (4, "max_connections", "300"),
    ]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("name,setting\nmax_connections,10\nserver_version,16.4 (Debian 16.4-1)\n", "16.4"),
        ("name,setting\nmax_connections,10\nserver_version_num,140012\n", "14.12"),
        ("name|setting\nmax_connections|10\nserver_version_num|90624\n", "9.6.24"),
    ],
)
def test_the_servers_version_is_told_by_its_settings(text: str, version: str, tmp_path: Path) -> None:
    assert read(text, tmp_path).source["version"] == version


def test_settings_of_a_dated_file(tmp_path: Path) -> None:
    found = read("name,setting\nmax_connections,10\n", tmp_path, "settings-20261121T031200Z.csv")
    assert [str(row["valid_at"]) for row in found.rows["setting"]] == ["2026-11-21 03:12:00"]


def test_a_mark_says_what_kind_it_is(tmp_path: Path) -> None:
    text = f"time,type,message\n{TIME},release,orders 4.2\n{TIME},rollback,orders 4.1\n{TIME},freeze,no more deploys\n"
    found = read(text, tmp_path)
    assert [(row["reason"], row["detail"]) for row in found.rows["event"]] == [
        ("deploy", "orders 4.2"),
        ("rollback", "orders 4.1"),
        ("freeze", "no more deploys"),
    ]
