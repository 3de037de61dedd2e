"""Poolers' logs, consoles and configuration files: other people's evidence, and what their shapes must not break."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from connforensics.case import open_case
from connforensics.evidence import Head, ReadOptions, formats, identify
from connforensics.evidence.messages import pgbouncer, poolers, proxysql, rds_proxy
from connforensics.ingest import ingest
from tests.corpus import CORPUS, manifest, needed, truth
from tests.test_formats import Read, read

BY_KIND = {
    "login_attempts": "pooler_login",
    "new_server_connections": "pooler_server_opened",
    "closing_client": "pooler_client_closed",
    "closing_server": "pooler_server_closed",
    "pooler_errors": "pooler_error",
    "process_up": "server_ready",
}

LOGS = [pytest.param(row, id=Path(row["file"]).name) for row in manifest("pgbouncer_log")]


def of_corpus(row: dict[str, str], folder: Path) -> Read:
    path = CORPUS / row["file"]
    return read(path.read_bytes(), folder, path.name)


@needed
@pytest.mark.parametrize("row", LOGS)
def test_a_log_of_the_corpus_gives_its_counts(row: dict[str, str], tmp_path: Path) -> None:
    found = of_corpus(row, tmp_path)
    counted = Counter(str(event["kind"]) for event in found.rows["event"])
    told = truth(row)
    assert {name: counted[kind] for name, kind in BY_KIND.items() if name in told} == {
        name: int(told[name]) for name in BY_KIND if name in told
    }
    if "stats_lines" in told:
        lines = {sample["line_no"] for sample in found.rows["metric_sample"]}
        assert len(lines) == int(told["stats_lines"])
    if "close_reasons" in told:
        reasons = Counter(
            str(event["reason"])
            for event in found.rows["event"]
            if str(event["kind"]).startswith("pooler_") and event["duration_ms"] is not None
        )
        pairs = re.findall(r"(.*?):(\d+)(?:,|$)", row["ground_truth"].split("close_reasons=")[1].split("; ")[0])
        assert reasons == {reason.replace('""', '"'): int(count) for reason, count in pairs}
    if "login_failed" in told:
        # The manifest counts every line with these words: 3 told by the server, and 5 that close a connection or tell a
        # client, which have kinds of their own.
        assert sum("login failed" in str(event["text"]) for event in found.rows["event"]) == int(told["login_failed"])
    assert found.source["suspects"] in (0, 2)  # 2: systemd's own lines in the excerpt of a journal


@needed
def test_the_times_of_the_corpus_are_those_of_the_manifest(tmp_path: Path) -> None:
    [row] = [row for row in manifest("pgbouncer_log") if "CONNECT" in row["file"]]
    source = of_corpus(row, tmp_path).source
    assert str(source["first_at"]) == "2025-10-09 06:40:49.712000", "15:40:49.712 in Korea"
    assert str(source["last_at"]) == "2025-10-10 12:13:50.293000"


@needed
def test_a_series_of_show_pools_gives_its_rows(tmp_path: Path) -> None:
    [row] = [row for row in manifest("pgbouncer_show") if "show_pools" in row["file"]]
    pools = of_corpus(row, tmp_path).rows["pool_sample"]
    told = truth(row)
    assert len(pools) == int(told["rows"])
    assert len({pool["sampled_at"] for pool in pools}) == int(told["snapshots"])
    first = [
        (pool["pool"], pool["checked_out"], pool["waiting"]) for pool in pools if pool["pool"] == "pooling/atelier"
    ]
    assert first[:2] == [("pooling/atelier", 5.0, 0.0), ("pooling/atelier", 3.0, 0.0)]


@needed
def test_counts_by_state_give_a_number_for_each_cell(tmp_path: Path) -> None:
    [row] = [row for row in manifest("pgbouncer_show") if row["file"].endswith(".csv")]
    samples = of_corpus(row, tmp_path).rows["metric_sample"]
    assert len({sample["line_no"] for sample in samples}) == int(truth(row)["rows"])
    assert len(samples) == 4 * int(truth(row)["rows"])


@needed
def test_tables_of_proxysql_give_their_rows(tmp_path: Path) -> None:
    rows = {Path(row["file"]).name.split("__")[1]: row for row in manifest("proxysql_admin")}
    pool = of_corpus(rows["stats_mysql_connection_pool.txt"], tmp_path / "pool").rows
    told = truth(rows["stats_mysql_connection_pool.txt"])
    assert len(pool["pool_sample"]) == int(told["rows"])
    assert sum(sample["idle"] for sample in pool["pool_sample"]) == float(told["conn_free_sum"])  # type: ignore[misc]
    statuses = Counter(
        dict(sample["labels"])["status"]
        for sample in pool["metric_sample"]
        if sample["name"] == "proxysql_connpool_conns_status"  # type: ignore[call-overload]
    )
    assert ",".join(f"{status}:{count}" for status, count in statuses.items()) == told["statuses"]
    for name in ("stats_mysql_processlist.txt", "stats_mysql_processlist_ext.txt"):
        processes = of_corpus(rows[name], tmp_path / name).rows["backend_sample"]
        assert len(processes) == int(truth(rows[name])["rows"])
        assert processes[0]["backend_type"] == "pooler client"


def pgbouncer_log(*lines: str) -> str:
    return "".join(f"2026-11-21 03:12:00.000 UTC [7] {line}\n" for line in lines)


def test_one_refusal_is_two_lines_of_two_kinds(tmp_path: Path) -> None:
    text = pgbouncer_log(
        "LOG C-0x1f: (nodb)/(nouser)@10.0.0.9:51000 closing because: no more connections allowed (max_client_conn) (age=0s)",
        "WARNING C-0x1f: (nodb)/(nouser)@10.0.0.9:51000 pooler error: no more connections allowed (max_client_conn)",
    )
    events = read(text, tmp_path).rows["event"]
    assert [event["kind"] for event in events] == ["pooler_client_closed", "pooler_error"]
    assert {(event["reason"], event["session_key"], event["client_port"]) for event in events} == {
        ("no more connections allowed (max_client_conn)", "C-0x1f", 51000)
    }


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("shop/app@10.0.0.9:51000", ("shop", "app", "10.0.0.9", 51000)),
        ("shop/app@[2001:db8::1]:51000", ("shop", "app", "2001:db8::1", 51000)),
        ("shop/app@unix(77):6432", ("shop", "app", "[local]", None)),
        ("shop/app@unix:6432", ("shop", "app", "[local]", None)),
        ("(nodb)/(nouser)@10.0.0.9:51000", (None, None, "10.0.0.9", 51000)),
        ("my shop/app user@10.0.0.9:51000", ("my shop", "app user", "10.0.0.9", 51000)),
        ("shop/joe@corp.example@10.0.0.9:51000", ("shop", "joe@corp.example", "10.0.0.9", 51000)),
    ],
)
@pytest.mark.parametrize("padding", [0, 5])
def test_who_a_client_is(who: str, expected: tuple[object, ...], padding: int, tmp_path: Path) -> None:
    usual = ["LOG C-0x2: shop/app@10.0.0.1:1 closing because: client close request (age=1s)"] * padding
    text = pgbouncer_log(*usual, f"LOG C-0x1f: {who} closing because: client close request (age=7s)")
    event = read(text, tmp_path).rows["event"][-1]
    assert (event["database_name"], event["user_name"], event["client_host"], event["client_port"]) == expected
    assert event["duration_ms"] == 7000.0


def test_a_connection_to_the_server_bears_the_end_that_the_server_sees(tmp_path: Path) -> None:
    text = pgbouncer_log("LOG S-0x1f: shop/app@[::1]:5432 new connection to server (from [::1]:60818)")
    [event] = read(text, tmp_path).rows["event"]
    assert (event["client_host"], event["client_port"], event["detail"]) == ("::1", 60818, "[::1]:5432")


def test_statistics_are_read_by_name_whatever_the_version(tmp_path: Path) -> None:
    text = pgbouncer_log(
        "LOG Stats: 0 xacts/s, 7 queries/s, in 0 B/s, out 0 B/s, xact 0 us, query 0 us wait time 181 us",
        "LOG stats: 1 xacts/s, 2 queries/s, 3 client parses/s, 4 server parses/s, 5 binds/s, 6 client logins/s, in 7 B/s, out 8 B/s, xact 9 us, query 10 us, wait 11 us",
    )
    samples = read(text, tmp_path).rows["metric_sample"]
    told = {
        (sample["line_no"], str(sample["name"]).removeprefix("pgbouncer_stats_avg_")): sample["value"]
        for sample in samples
    }
    assert told[1, "wait_time"] == 181.0
    assert told[1, "query_count"] == 7.0
    second = [value for (line, _), value in told.items() if line == 2]
    assert sorted(second) == [float(number) for number in range(1, 12)]  # type: ignore[type-var]


def test_a_zone_as_a_number_and_none_at_all(tmp_path: Path) -> None:
    line = "[7] LOG C-0x1f: shop/app@10.0.0.9:51000 login attempt: db=shop user=app tls=no\n"
    zoned = read(f"2026-11-21 03:12:00.000 +0300 {line}", tmp_path / "zoned")
    assert str(zoned.rows["event"][0]["event_at"]) == "2026-11-21 00:12:00"
    bare = read(f"2026-11-21 03:12:00.000 {line}", tmp_path / "bare", options=ReadOptions(timezone="Asia/Tokyo"))
    assert str(bare.rows["event"][0]["event_at"]) == "2026-11-20 18:12:00"


def test_no_password_of_a_configuration_file_is_stored(tmp_path: Path) -> None:
    for name in ("pgbouncer_ini", "proxysql_cnf", "proxysql_admin"):
        for sample in formats()[name].samples:
            found = read(sample.text, tmp_path / name, sample.name, sample.options)
            stored = repr(found.rows) + repr(found.source) + repr(found.assumptions)
            assert not re.search(r"top secret|'secret'|'monitor'|admin:admin", stored)


@pytest.mark.parametrize("columns", [12, 13, 16, 17])
def test_pools_of_every_version(columns: int, tmp_path: Path) -> None:
    names = [
        "database",
        "user",
        "cl_active",
        "cl_waiting",
        "cl_active_cancel_req",
        "cl_waiting_cancel_req",
        "sv_active",
        "sv_active_cancel",
        "sv_being_canceled",
        "sv_idle",
        "sv_used",
        "sv_tested",
        "sv_login",
        "maxwait",
        "maxwait_us",
        "pool_mode",
        "load_balance_hosts",
    ]
    newer = {
        "load_balance_hosts": 17,
        "sv_active_cancel": 16,
        "sv_being_canceled": 16,
        "cl_active_cancel_req": 16,
        "cl_waiting_cancel_req": 13,
    }
    dropped = {name for name, since in newer.items() if since > columns}
    shown = [name for name in names if name not in dropped]
    assert len(shown) == columns
    values = {
        "database": "shop",
        "user": "app",
        "cl_active": "4",
        "cl_waiting": "2",
        "sv_active": "3",
        "sv_idle": "1",
        "maxwait": "5",
        "pool_mode": "session",
    }
    text = f"{'|'.join(shown)}\n{'|'.join(values.get(name, '0') for name in shown)}\n(1 row)\n"
    [pool] = read(text, tmp_path).rows["pool_sample"]
    assert (pool["pool"], pool["checked_out"], pool["idle"], pool["size"], pool["waiting"], pool["acquire_ms"]) == (
        "shop/app",
        3.0,
        1.0,
        4.0,
        2.0,
        5000.0,
    )


def test_a_mysql_status_table_is_not_proxysqls() -> None:
    text = "+---------------+-------+\n| Variable_name | Value |\n+---------------+-------+\n| Threads_connected | 7 |\n| Uptime | 9 |\n+---------------+-------+\n"
    assert "proxysql_admin" not in [claim.name for claim, _ in identify(Head(tuple(text.split("\n"))))]


@pytest.mark.parametrize("catalogue", [pgbouncer.CATALOGUE, proxysql.CATALOGUE, rds_proxy.CATALOGUE, poolers.CATALOGUE])
def test_every_entry_is_the_first_that_fits_its_sample(catalogue: tuple[pgbouncer.Message, ...]) -> None:
    stolen = [
        entry.sample
        for entry in catalogue
        if next((each for each in catalogue if each.fits(entry.sample, entry.frame or "plain")), None) is not entry
    ]
    assert not stolen


def test_a_long_log_inside_one_transaction_loses_nothing(tmp_path: Path) -> None:
    lines = [
        f"LOG C-0x{number:x}: shop/app@10.0.0.9:{number % 60000 + 1} closing because: client close request (age={number % 900}s)"
        if number % 9
        else f"LOG S-0x{number:x}: shop/app@10.0.0.2:5432 closing because: server lifetime over (age=3600s)"
        for number in range(260_000)
    ]
    path = tmp_path / "long.log"
    path.write_text(pgbouncer_log(*lines))
    [read_in] = ingest(tmp_path / "case.duckdb", [path])
    assert (read_in.lines, read_in.understood, read_in.unknown) == (260_000, 260_000, 0)
    with open_case(tmp_path / "case.duckdb") as case:
        counted = dict(case.rows("SELECT kind, count(*) FROM event GROUP BY kind"))
    assert counted == {"pooler_client_closed": 231_111, "pooler_server_closed": 28_889}


def test_a_reason_ends_where_its_text_ends(tmp_path: Path) -> None:
    line = "2021-09-28 05:19:06.80{} UTC [7] {} C-0x7fbee0d0d12{}: (nodb)/(nouser)@172.10.31.18:50270 {}{}\n"
    found = read(
        "".join(
            line.format(n, level, n, said, blanks)
            for n, (level, said) in enumerate(
                (
                    ("WARNING", "pooler error: client_login_timeout"),
                    ("LOG", "closing because: client_login_timeout (age=3s)"),
                )
            )
            for blanks in ("", "    ")
        ),
        tmp_path,
    )
    assert {row["reason"] for row in found.rows["event"]} == {"client_login_timeout"}
    assert len(found.rows["event"]) == 4


def test_what_consoles_say_of_themselves_is_not_unknown(tmp_path: Path) -> None:
    found = read(
        'psql (9.6.5, server 1.7.2/bouncer)\nType "help" for help.\n\n'
        "pgbouncer=# show pools;\n"
        " database | user | cl_active | cl_waiting | sv_active | sv_idle | maxwait \n"
        "----------+------+-----------+------------+-----------+---------+---------\n"
        " shop     | app  |       925 |          0 |        50 |      50 |       0\n",
        tmp_path / "pgbouncer",
    )
    assert (found.source["understood"], found.source["unknown"]) == (1, 0)
    found = read(
        "Welcome to the MySQL monitor.  Commands end with ; or \\g.\nYour MySQL connection id is 12\n"
        "Admin> select * from stats_mysql_global;\n"
        "+------------------------------+----------------+\n"
        "| Variable_Name                | Variable_Value |\n"
        "+------------------------------+----------------+\n"
        "| Client_Connections_connected | 7              |\n"
        "+------------------------------+----------------+\n",
        tmp_path / "proxysql",
    )
    assert (found.source["understood"], found.source["unknown"]) == (1, 0)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("Id,User,Host,Command\n1,alice,node1,make\n2,bob,node2,cargo build\n", 0.0),
        ("id,user,host,command,time\n1,alice,laptop-1,build,12\n2,bob,laptop-2,test,40\n", 0.0),
        ("state,count\nCalifornia,39\nTexas,30\n", 0.0),
        ("state,count\nactive,39\ncancelled,30\nidle,2\n", 0.0),
        ("state,count\nactive,39\nidle,2\n", 0.5),
    ],
)
def test_tables_of_other_trades_are_not_claimed_with_certainty(text: str, most: float) -> None:
    claims = identify(Head(tuple(text.split("\n"))))
    assert max((certainty for _, certainty in claims), default=0.0) <= most
