"""Metrics: the table of names, pages and API answers of Prometheus, CloudWatch, CSV, and counts of workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connforensics.evidence import Head, Ledger, ReadOptions, identify, json_records, metric_names
from connforensics.evidence.json_records import Record, Scanner, Verdict
from connforensics.evidence.metric_names import Meaning
from tests.corpus import CORPUS, manifest, needed, truth
from tests.test_formats import Read, read

AT = datetime(2026, 11, 21, 3, 12)


def metrics_of(found: Read) -> list[tuple[object, ...]]:
    return [(row["sampled_at"], row["name"], dict(row["labels"]), row["value"]) for row in found.rows["metric_sample"]]  # type: ignore[call-overload]


def table_rows() -> list[tuple[int, str, Meaning]]:
    rows = [(written, one) for written, meanings in metric_names.table().items() for one in meanings]
    return [(number, written, one) for number, (written, one) in enumerate(rows)]


def exposed(number: int, written: str, one: Meaning) -> str:
    """Return a line of a page that only this row of the table is for."""
    labels = {
        "pool": f"p{number}",
        "database": f"p{number}",
        "application": f"s{number}",
        "deployment": f"s{number}",
        "law": f"{number}",
    }
    if one.when is not None:
        labels[one.when[0]] = one.when[1]
    name = written if one.kind not in ("acquire", "time") else f"{written}_sum"
    if one.family == "hikaricp_dropwizard":
        camel = {
            "totalconnections": "TotalConnections", "activeconnections": "ActiveConnections", "usage": "Usage",
            "idleconnections": "IdleConnections", "pendingconnections": "PendingConnections", "wait": "Wait",
            "maxconnections": "MaxConnections", "minconnections": "MinConnections",
            "connectiontimeoutrate": "ConnectionTimeoutRate", "connectioncreation": "ConnectionCreation",
        }  # fmt: skip
        bare = written.removeprefix("pool_")
        name = name.replace(bare, camel[bare])
        name = f"p{number}_{name}"
        labels.pop("pool")
    told = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{told}}} 4\n"


@pytest.fixture(scope="module")
def whole_table(tmp_path_factory: pytest.TempPathFactory) -> Read:
    page = "# TYPE up gauge\n" + "".join(exposed(*row) for row in table_rows())
    return read(page, tmp_path_factory.mktemp("table"), "page-20261121T031200Z.prom")


def test_every_row_of_the_table_is_read_to_its_place(whole_table: Read) -> None:
    told = {dict(row["labels"]).get("law"): row for row in whole_table.rows["metric_sample"]}  # type: ignore[call-overload]
    pools = {row["pool"]: row for row in whole_table.rows["pool_sample"]}
    settings_told = {(row["engine"], row["name"], row["value"], row["unit"]) for row in whole_table.rows["setting"]}
    missed = []
    for number, written, one in table_rows():
        is_timed = one.kind in ("acquire", "time")
        if one.metric is not None:
            row = told.get(str(number))
            name = f"{one.metric}_sum" if is_timed else one.metric
            factor = one.factor if one.pool is None or is_timed else 1.0
            labels = dict(row["labels"]) if row else {}  # type: ignore[call-overload]
            if (
                row is None
                or row["name"] != name
                or row["value"] != pytest.approx(4 * factor)
                or not set(one.add) <= labels.items()
            ):
                missed.append((written, row))
            if name == "workers" and labels.get("service") != f"s{number}":
                missed.append((written, labels))
        if one.pool is not None and not is_timed:
            pool = pools.get(f"p{number}")
            if pool is None or pool[one.pool] != pytest.approx(4 * one.factor):
                missed.append((written, pool))
        if one.setting is not None and (one.engine, one.setting, "4", one.unit) not in settings_told:
            missed.append((written, one.setting))
    assert not missed
    assert whole_table.source["unknown"] == 0


def test_the_table_names_known_columns_only() -> None:
    columns = {"size", "max_size", "checked_out", "idle", "overflow", "waiting", "timeouts", "acquire_ms"}
    for _, written, one in table_rows():
        assert one.pool is None or one.pool in columns, written
        assert one.metric or one.pool, written
        assert one.kind in ("", "acquire", "time", "unlimited"), written
        assert not written.endswith("_total") or written == "proxysql_connpool_conns_total", written


@pytest.mark.parametrize(
    ("name", "labels", "pool", "factor"),
    [
        ("hikaricp_connections_acquire_seconds", {"quantile": "0.99"}, "acquire_ms", 1000.0),
        ("hikaricp_connection_acquired_nanos", {"quantile": "0.5"}, "acquire_ms", 1e-6),
        ("db.client.connections.wait_time", {"quantile": "0.5"}, "acquire_ms", 1.0),
        ("db.client.connection.count", {"state": "idle"}, "idle", 1.0),
        ("ruby_active_record_connection_pool_waiting", {}, "waiting", 1.0),
        ("shop_sqlalchemy_pool_checkedout", {}, "checked_out", 1.0),
        ("app_db_pool_wait_seconds", {}, "acquire_ms", 1000.0),
        ("db_pool_connections", {"state": "busy"}, "checked_out", 1.0),
        ("HikariPool-1.pool.ActiveConnections", {}, "checked_out", 1.0),
        ("cnpg_pgbouncer_pools_cl_waiting", {}, "waiting", 1.0),
        ("cnpg_pgbouncer_pools_maxwait", {}, "acquire_ms", 1000.0),
    ],
)
def test_a_pool_number_is_read_by_name_label_and_unit(
    name: str, labels: dict[str, str], pool: str, factor: float
) -> None:
    found = metric_names.meaning(name, labels)
    assert found is not None
    assert (found.pool, found.factor) == (pool, pytest.approx(factor))


@pytest.mark.parametrize(
    "name",
    [
        "jvm_memory_pool_bytes_used", "executor_pool_size_threads", "node_sockstat_TCP_inuse", "http_server_connections",
        "redis_connected_clients", "process_open_fds", "jvm_buffer_pool_used_bytes", "tomcat_connections_current_connections",
    ],
)  # fmt: skip
def test_pools_and_connections_of_other_things_are_not_a_databases(name: str) -> None:
    assert metric_names.meaning(name, {}) is None
    assert not metric_names.is_about_connections(name)


def test_a_name_that_speaks_of_connections_and_is_in_no_table_is_unknown_not_dropped(tmp_path: Path) -> None:
    found = read("# TYPE up gauge\nup 1\nacme_connections_open 7\nacme_requests_total 9\n", tmp_path)
    assert (found.source["understood"], found.source["unknown"], found.source["suspects"]) == (1, 1, 1)
    assert any("acme_connections_open" in text for text in found.assumptions)


def test_three_exporters_of_pgbouncer_say_the_same(tmp_path: Path) -> None:
    families = {
        "community": 'pgbouncer_pools_client_waiting_connections{database="shop",user="web"} 37\n'
        'pgbouncer_stats_totals_client_wait_seconds_total{database="shop"} 2.5\n',
        "spreaker": 'pgbouncer_pools_client_waiting_connections{database="shop",user="web"} 37\n'
        'pgbouncer_stats_waiting_duration_microseconds{database="shop"} 2500000\n',
        "jbub": 'pgbouncer_exporter_pools_waiting_clients{database="shop",user="web"} 37\n'
        'pgbouncer_exporter_stats_total_wait_time{database="shop"} 2500000\n',
    }
    for family, page in families.items():
        found = read("# TYPE pgbouncer_up gauge\n" + page, tmp_path / family)
        assert [(name, value) for _, name, _, value in metrics_of(found)] == [
            ("pgbouncer_pools_client_waiting_connections", 37.0),
            ("pgbouncer_stats_totals_client_wait_seconds_total", 2.5),
        ]
        assert [(row["service"], row["pool"], row["waiting"]) for row in found.rows["pool_sample"]] == [
            ("pgbouncer", "shop/web", 37.0)
        ]


def test_one_pool_under_two_names_is_one_pool(tmp_path: Path) -> None:
    found = read(
        '# TYPE a gauge\nhikaricp_connections_active{pool="main"} 9\njdbc_connections_active{name="dataSource"} 9\n',
        tmp_path,
    )
    assert [(row["pool"], row["checked_out"]) for row in found.rows["pool_sample"]] == [("main", 9.0)]
    assert any("the same pools under another name" in text for text in found.assumptions)


def test_two_pools_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    page = "# TYPE a gauge\n" + "".join(
        f'active_record_connection_pool_busy{{pool_name="p",pid="{pid}",role="{role}"}} {busy}\n'
        for pid, role, busy in ((1, "writing", 3), (1, "reading", 4), (2, "writing", 5))
    )
    found = read(page, tmp_path)
    assert {(row["instance"], row["pool"], row["checked_out"]) for row in found.rows["pool_sample"]} == {
        ("1", "p (role=writing)", 3.0), ("1", "p (role=reading)", 4.0), ("2", "p", 5.0),
    }  # fmt: skip


def test_an_unlimited_pool_has_no_greatest_size(tmp_path: Path) -> None:
    page = (
        '# TYPE a gauge\ngo_sql_max_open_connections{db_name="shop"} 0\ngo_sql_in_use_connections{db_name="shop"} 80\n'
    )
    (row,) = read(page, tmp_path).rows["pool_sample"]
    assert (row["max_size"], row["checked_out"], row["pool"]) == (None, 80.0, "shop")


# Pages


@needed
@pytest.mark.parametrize("row", manifest("prometheus_exposition"), ids=lambda row: row["file"])
def test_a_real_page_gives_its_counts(row: dict[str, str], tmp_path: Path) -> None:
    facts = truth({**row, "ground_truth": row["ground_truth"].strip('"').replace('""', '"')})
    content = (CORPUS / row["file"]).read_text(encoding="utf-8")
    found = read(content, tmp_path)
    lines = content.splitlines()
    assert sum(bool(line) and not line.startswith("#") for line in lines) == int(facts["samples"])
    assert sum(line.startswith("# TYPE") for line in lines) == int(facts["type_lines"])
    assert found.source["understood"] == int(facts["pool_samples"])
    # The one sample that speaks of connections without being in any table is named, not dropped.
    assert found.source["unknown"] == 1
    columns = {"": "size", "_pending": "waiting", "_idle": "idle", "_active": "checked_out", "_max": "max_size"}
    pools = {row["pool"]: row for row in found.rows["pool_sample"]}
    told = 0
    for fact in facts["pool_values"].split(" "):
        series, _, value = fact.rpartition("=")
        name, _, pool = series.removesuffix('"}').partition('{pool="')
        column = columns.get(name.removeprefix("hikaricp_connections"))
        if column is not None:
            assert pools[pool][column] == float(value)
            told += 1
    assert told == 10


def test_pages_after_one_another_are_told_apart_without_times(tmp_path: Path) -> None:
    page = '# HELP x y\n# TYPE x gauge\nhikaricp_connections_active{{pool="a"}} {}\nhikaricp_connections_max{{pool="a"}} 10\n'
    found = read("".join(page.format(number) for number in (1, 2, 3)), tmp_path, "loop-20261121T031200Z.txt")
    assert [(row["sampled_at"], row["checked_out"], row["max_size"]) for row in sorted(found.rows["pool_sample"], key=lambda row: row["line_no"])] == [  # type: ignore[arg-type,return-value]
        (AT, 1.0, 10.0), (None, 2.0, 10.0), (None, 3.0, 10.0),
    ]  # fmt: skip
    assert any("when they were taken is unknown" in text for text in found.assumptions)


@pytest.mark.parametrize(
    "told", ["2026-11-21T03:12:00Z", "Sat Nov 21 03:12:00 UTC 2026", "1795230720", "=== 2026-11-21 03:12:00+00 ===", "# 2026-11-21T03:12:00Z",
             "Date: Sat, 21 Nov 2026 03:12:00 GMT"],
)  # fmt: skip
def test_a_time_above_a_page_is_its_time(told: str, tmp_path: Path) -> None:
    page = "{}\n# HELP x y\n# TYPE x gauge\nmysql_global_status_threads_connected 9\n"
    found = read(page.format(told) + page.format("2026-11-21T03:13:00Z"), tmp_path)
    assert [at for at, *_ in metrics_of(found)] == [AT, datetime(2026, 11, 21, 3, 13)]
    assert found.source["unknown"] == 0


def test_a_counter_keeps_its_reset(tmp_path: Path) -> None:
    lines = [
        f"mysql_global_status_aborted_connects {value} {1795230720000 + 15000 * index}\n"
        for index, value in enumerate((900, 950, 3))
    ]
    found = read("# TYPE mysql_global_status_aborted_connects untyped\n" + "".join(lines), tmp_path)
    assert [value for *_, value in sorted(metrics_of(found))] == [900.0, 950.0, 3.0]  # type: ignore[type-var]


def test_a_page_in_a_document_is_read_and_the_prose_is_not(tmp_path: Path) -> None:
    found = read(
        'Our pool then:\n\n```\n# TYPE x gauge\nhikaricp_connections_active{pool="a"} 10\n```\n',
        tmp_path,
        options=ReadOptions(format="prometheus_text"),
    )
    assert (found.source["understood"], found.source["ignored"], found.source["unknown"]) == (1, 4, 1)


def test_infinite_and_unknown_numbers_are_kept_as_such(tmp_path: Path) -> None:
    found = read('# TYPE x gauge\npg_up{a="1"} NaN\npg_up{a="2"} +Inf\npg_up{a="3"} 1e+06\n', tmp_path)
    assert [value for *_, value in metrics_of(found)] == [None, float("inf"), 1e6]


# The HTTP API


def matrix(*series: dict[str, object]) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(series)}})


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    content = matrix({"metric": {"__name__": "pg_up"}, "values": [[1795230720, "1"], [1795230900, "1"]]})
    assert [at for at, *_ in metrics_of(read(content, tmp_path))] == [AT, datetime(2026, 11, 21, 3, 15)]


def test_a_series_without_a_name_is_unknown_and_said_to_be(tmp_path: Path) -> None:
    found = read(matrix({"metric": {"state": "active"}, "values": [[1795230720, "1"]]}), tmp_path)
    assert (found.source["understood"], found.source["unknown"]) == (0, 1)
    assert any("without a metric's name" in text for text in found.assumptions)


def test_errors_and_warnings_of_an_answer_are_named(tmp_path: Path) -> None:
    failed = read('{"status":"error","errorType":"bad_data","error":"parse error at char 3"}\n', tmp_path / "a")
    assert failed.source["format"] == "prometheus_api"
    assert any("parse error at char 3" in text for text in failed.assumptions)
    warned = read(
        '{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["no store"]}', tmp_path / "b"
    )
    assert any("no store" in text for text in warned.assumptions)


def test_a_pool_is_put_together_from_series_that_stand_far_apart(tmp_path: Path) -> None:
    names = ("hikaricp_connections_active", "node_load1", "hikaricp_connections_max")
    content = matrix(
        *(
            {
                "metric": {"__name__": name, "pool": "a", "instance": "i"},
                "values": [[1795230720 + 15 * k, str(k)] for k in range(3)],
            }
            for name in names
        )
    )
    assert [(row["checked_out"], row["max_size"]) for row in read(content, tmp_path).rows["pool_sample"]] == [
        (0.0, 0.0),
        (1.0, 1.0),
        (2.0, 2.0),
    ]


def test_a_pretty_answer_cites_the_line_its_series_begins_on(tmp_path: Path) -> None:
    content = json.dumps(json.loads(matrix({"metric": {"__name__": "pg_up"}, "values": [[1795230720, "1"]]})), indent=2)
    found = read(content, tmp_path)
    (row,) = found.rows["metric_sample"]
    assert content.splitlines()[int(row["line_no"]) - 1].strip() == "{"  # type: ignore[call-overload]
    assert (
        found.source["understood"]
        == content.count("\n", content.index('"metric"'), content.index("}", content.index('"values"'))) + 2
    )


def test_data_frames_of_grafana_are_read(tmp_path: Path) -> None:
    content = json.dumps(
        {"results": {"A": {"status": 200, "frames": [{
            "schema": {"refId": "A", "fields": [{"name": "Time", "type": "time"}, {"name": "Value", "type": "number",
                       "labels": {"__name__": "pg_stat_activity_count", "state": "idle"}}]},
            "data": {"values": [[1795230720000, 1795230735000], [4, None]]}}]}}}
    )  # fmt: skip
    assert metrics_of(read(content, tmp_path)) == [
        (AT, "pg_stat_activity_count", {"state": "idle"}, 4.0),
        (datetime(2026, 11, 21, 3, 12, 15), "pg_stat_activity_count", {"state": "idle"}, None),
    ]


def test_a_setting_is_stored_where_it_changes(tmp_path: Path) -> None:
    values = [[1795230720 + 15 * index, str(value)] for index, value in enumerate((100, 100, 100, 300, 300))]
    found = read(matrix({"metric": {"__name__": "mysql_global_variables_max_connections"}, "values": values}), tmp_path)
    assert [(row["value"], row["valid_at"]) for row in found.rows["setting"]] == [
        ("100", AT), ("300", datetime(2026, 11, 21, 3, 12, 45)),
    ]  # fmt: skip


def test_an_exporter_of_one_server_is_no_second_server(tmp_path: Path) -> None:
    def of(name: str, **labels: str) -> dict[str, object]:
        return {"metric": {"__name__": name, "instance": "e:9187", **labels}, "values": [[1795230720, "1"]]}

    one = read(matrix(of("pg_up"), of("pg_stat_activity_count", server="a:5432")), tmp_path / "one")
    assert {row["server"] for row in one.rows["metric_sample"]} == {None}
    other = {"metric": {"__name__": "pg_up", "instance": "f:9187", "server": "b:5432"}, "values": [[1795230720, "1"]]}
    two = read(matrix(of("pg_up"), of("pg_settings_max_connections", server="a:5432"), other), tmp_path / "two")
    assert [(row["name"], row["server"]) for row in two.rows["metric_sample"]] == [
        ("pg_settings_max_connections", "a:5432"),
        ("pg_up", "a:5432"),
        ("pg_up", "b:5432"),
    ]
    assert [row["server"] for row in two.rows["setting"]] == ["a:5432"]


def test_namespaces_tell_the_workers_of_two_services_of_one_name_apart(tmp_path: Path) -> None:
    content = matrix(
        *(
            {
                "metric": {"__name__": "kube_deployment_status_replicas", "deployment": "web", "namespace": space},
                "values": [[1795230720, "4"]],
            }
            for space in ("a", "b")
        )
    )
    assert {labels["service"] for _, _, labels, _ in metrics_of(read(content, tmp_path))} == {"a/web", "b/web"}  # type: ignore[index]


# JSON of any size

DOCUMENTS = (
    b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"\xc3\xa9\\u0041"}},\n {"metric":{}}]}}\n',
    json.dumps({"data": {"result": [{"m": 1}, {"m": [1, 2, {"x": "y\n"}]}]}}, indent=2).encode(),
    b'hello\n```json\n[{"a":1},\n{"b":2}]\n```\n{"z":12}\n{"broken": \n{"q":1}\n\n',
    b'{"a":1}\r\n{"a":2.5e3}\r\n',
    b"",
    b"[1,2",
    b'{"a":tru}',
    b"\n\n[]\n",
)


def walked(content: bytes, size: int) -> tuple[list[Record], Ledger]:
    ledger = Ledger()

    class Source:
        ledger: Ledger

        def blocks(self) -> Iterator[bytes]:
            for start in range(0, len(content), size):
                yield content[start : start + size]

    source = Source()
    source.ledger = ledger
    found = []
    for record, lines in json_records.records(source, lambda path, bracket: len(path) < 4):  # type: ignore[arg-type]
        lines.account(record.first_line, record.last_line, Verdict.UNDERSTOOD)
        found.append(record)
    return found, ledger


@pytest.mark.parametrize("content", DOCUMENTS)
def test_json_is_the_same_however_it_is_cut_into_blocks(content: bytes) -> None:
    whole, ledger = walked(content, 1 << 20)
    for size in (2, 3, 7, 64):
        found, other = walked(content, size)
        assert found == whole
        assert other == ledger


def test_lines_that_end_in_cr_alone_are_lines() -> None:
    found, ledger = walked(b'{"a":1}\r{"a":2}\r', 1 << 20)
    assert [record.first_line for record in found] == [1, 2]
    assert ledger.lines == 2


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DOCUMENTS), st.integers(0, 200), st.binary(max_size=3))
def test_every_line_of_damaged_json_is_accounted_for(content: bytes, at: int, junk: bytes) -> None:
    damaged = content[:at] + junk + content[at + 1 :]
    _, ledger = walked(damaged, 5)
    lines = damaged.count(b"\n") + (1 if damaged and not damaged.endswith(b"\n") else 0)
    if b"\n" in damaged[:5] or b"\r" not in damaged:
        assert ledger.lines == lines
    assert ledger.lines == ledger.understood + ledger.ignored + ledger.unknown


def test_an_answer_of_one_line_is_not_held_whole() -> None:
    series = b'{"metric":{"__name__":"pg_up"},"values":[' + b",".join(b'[1795230720,"1"]' for _ in range(2000)) + b"]}"
    most = 0

    def blocks() -> Iterator[bytes]:
        nonlocal most
        yield b'{"data":{"result":['
        for _ in range(500):
            yield series + b","
            most = max(most, len(scanner._text))
        yield series + b"]}}"

    scanner = Scanner(blocks(), lambda path, bracket: path in ((), ("data",), ("data", "result")))
    assert sum(isinstance(found, Record) for found in scanner.values()) == 501
    assert most < 10 * len(series)


# CloudWatch


def test_a_proxys_connections_are_not_the_databases(tmp_path: Path) -> None:
    def result(label: str) -> dict[str, object]:
        return {"Id": "m", "Label": label, "Timestamps": ["2026-11-21T03:12:00Z"], "Values": [5.0]}

    alone = read(json.dumps({"MetricDataResults": [result("DatabaseConnections")]}), tmp_path / "a")
    assert [name for _, name, _, _ in metrics_of(alone)] == ["aws_rds_database_connections"]
    assert any("read as the database's own metric" in text for text in alone.assumptions)
    beside = read(
        json.dumps({"MetricDataResults": [result("DatabaseConnections"), result("ClientConnectionsReceived")]}),
        tmp_path / "b",
    )
    assert {name for _, name, _, _ in metrics_of(beside)} == {
        "aws_rds_proxy_database_connections",
        "aws_rds_proxy_client_connections_received",
    }


def test_a_coarse_period_is_said_to_hide_bursts(tmp_path: Path) -> None:
    content = json.dumps(
        {"MetricDataResults": [{"Id": "m", "Label": "DatabaseConnections", "StatusCode": "PartialData",
                                "Timestamps": [f"2026-11-21T03:{15 - k}:00Z" for k in range(4)], "Values": [9.0, 8.0, 7.0, 6.0]}]}
    )  # fmt: skip
    found = read(content, tmp_path)
    assert [value for *_, value in metrics_of(found)] == [6.0, 7.0, 8.0, 9.0]
    assert any("each 60 s: bursts shorter than that are hidden" in text for text in found.assumptions)
    assert any("incomplete: PartialData" in text for text in found.assumptions)


def test_a_sum_over_a_period_is_no_count_of_workers(tmp_path: Path) -> None:
    content = json.dumps(
        {
            "Label": "ConcurrentExecutions",
            "Datapoints": [{"Timestamp": "2026-11-21T03:12:00Z", "Sum": 300.0, "Maximum": 9.0, "Unit": "Count"}],
        }
    )
    told = {(name, labels["stat"], value) for _, name, labels, value in metrics_of(read(content, tmp_path))}  # type: ignore[index]
    assert told == {("workers", "Maximum", 9.0), ("aws_lambda_concurrent_executions", "Sum", 300.0)}


def test_the_command_lines_tables_are_read(tmp_path: Path) -> None:
    content = (
        "-------------------------------------------------\n|              GetMetricStatistics              |\n"
        "+------------------+----------------------------+\n|  Label           |  DatabaseConnections       |\n"
        "+------------------+----------------------------+\n||                 Datapoints                  ||\n"
        "|+---------+-----------------------------+-----+|\n||  Average|          Timestamp          |Unit ||\n"
        "|+---------+-----------------------------+-----+|\n||  12.5   |  2026-11-21T03:12:00+00:00  |Count||\n"
        "||  90.0   |  2026-11-21T03:13:00+00:00  |Count||\n|+---------+-----------------------------+-----+|\n"
    )
    found = read(content, tmp_path)
    assert found.source["format"] == "cloudwatch"
    assert [(at, name, labels, value) for at, name, labels, value in metrics_of(found)] == [
        (AT, "aws_rds_database_connections", {"stat": "Average"}, 12.5),
        (datetime(2026, 11, 21, 3, 13), "aws_rds_database_connections", {"stat": "Average"}, 90.0),
    ]
    assert found.source["unknown"] == 0


def test_text_output_of_a_statistic_is_read(tmp_path: Path) -> None:
    content = "DatabaseConnections\nDATAPOINTS\t12.5\t2026-11-21T03:12:00+00:00\tCount\n"
    assert [(at, name, value) for at, name, _, value in metrics_of(read(content, tmp_path))] == [
        (AT, "aws_rds_database_connections", 12.5)
    ]


def test_performance_insights_is_read(tmp_path: Path) -> None:
    content = json.dumps(
        {"Identifier": "db-X", "MetricList": [
            {"Key": {"Metric": "db.User.numbackends.avg"}, "DataPoints": [{"Timestamp": 1795230720.0, "Value": 41.0}]},
            {"Key": {"Metric": "db.state.idle_in_transaction_count.max"}, "DataPoints": [{"Timestamp": "2026-11-21T03:12:00Z", "Value": 9.0}]},
            {"Key": {"Metric": "os.cpuUtilization.total.avg"}, "DataPoints": [{"Timestamp": 1795230720.0, "Value": 41.0}]}]}
    )  # fmt: skip
    assert metrics_of(read(content, tmp_path)) == [
        (AT, "pg_stat_activity_count", {"stat": "Maximum", "state": "idle in transaction"}, 9.0),
        (AT, "pg_stat_database_numbackends", {"stat": "Average"}, 41.0),
    ]


# Identification


@pytest.mark.parametrize(
    "text",
    [
        '{"status":"ok","data":{"users":[1,2]}}',
        '{"time":"2026-11-21T03:05:00Z","level":"info","msg":"started"}\n{"time":"2026-11-21T03:05:01Z","level":"info","msg":"deployed"}',
        "name 1\nother 2\n",
        "total 12\ndrwxr-xr-x 2 root root 4096\n",
        '{"metric":"cpu","value":3}',
        "Label,Amount\nApples,3\n",
    ],
)
def test_look_alikes_are_nobodys(text: str) -> None:
    own = {
        "prometheus_text",
        "prometheus_api",
        "cloudwatch",
        "metrics_csv",
        "marks_json",
        "kubernetes_events",
        "patroni_log",
    }
    assert not own & {found.name for found, _ in identify(Head(tuple(text.split("\n"))))}
