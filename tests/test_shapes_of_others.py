"""What other people's ways to keep evidence taught: each test is one shape that was once read or weighed wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connforensics import open_case
from connforensics.case import Case, Window
from connforensics.causes import Scene
from connforensics.ingest import ingest


def rows(folder: Path, sql: str, files: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Ingest files of a folder and ask the case."""
    for name, text in files.items():
        (folder / "evidence" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "evidence" / name).write_text(text, encoding="utf-8")
    ingest(folder / "case.duckdb", [folder / "evidence"])
    with open_case(folder / "case.duckdb") as case:
        return case.rows(sql)


def listed(seconds: int, *, command: str = "Sleep", time: int = 5) -> str:
    """One process list of two sessions as `mysql -e 'SELECT NOW(); SHOW FULL PROCESSLIST\\G'` writes it into a file."""
    records = "".join(
        f"*************************** {number}. row ***************************\n"
        f"     Id: {number}\n   User: shop\n   Host: 10.0.0.5:4000{number}\n     db: shop\nCommand: {command}\n"
        f"   Time: {time}\n  State: \n   Info: NULL\n"
        for number in (1, 2)
    )
    return f"NOW()\n2026-11-21 03:12:{seconds:02}\n{records}"


def test_a_vertical_list_ends_where_the_next_time_is_asked_for(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        "SELECT strftime(sampled_at, '%S'), count(*), count(query) FROM backend_sample GROUP BY ALL ORDER BY ALL",
        {"watch.txt": "".join(map(listed, (10, 12, 14)))},
    )
    assert found == [("10", 2, 0), ("12", 2, 0), ("14", 2, 0)]


def test_a_vertical_list_ends_at_a_time(tmp_path: Path) -> None:
    text = "".join(listed(second).replace("NOW()\n", "") for second in (10, 12))
    found = rows(
        tmp_path,
        "SELECT strftime(sampled_at, '%S'), count(query) FROM backend_sample GROUP BY ALL ORDER BY ALL",
        {"w.txt": text},
    )
    assert found == [("10", 0), ("12", 0)]


def test_tables_of_as_many_columns_after_one_another_stay_apart(tmp_path: Path) -> None:
    """mysql -B draws no lines: the header of innodb_trx is no text of the last statement, and its rows are no sessions."""
    text = (
        "NOW()\n2026-11-21 03:12:00\n"
        "Id\tUser\tHost\tdb\tCommand\tTime\tState\tInfo\n"
        "1\tshop\t10.0.0.5:4000\tshop\tQuery\t2\tUpdating\tUPDATE t SET a = 1\n"
        "2\tshop\t10.0.0.5:4001\tshop\tQuery\t2\tUpdating\tUPDATE t SET a = 2\n"
        "trx_id\ttrx_state\ttrx_started\ttrx_requested_lock_id\ttrx_wait_started\ttrx_weight\ttrx_mysql_thread_id\ttrx_query\n"
        "30939\tRUNNING\t2026-11-21 03:11:58\tNULL\tNULL\t2\t1\tUPDATE t SET a = 1\n"
        "30940\tLOCK WAIT\t2026-11-21 03:11:58\t5:1\t2026-11-21 03:11:58\t2\t2\tUPDATE t SET a = 2\n"
    )
    found = rows(
        tmp_path,
        "SELECT backend_type, backend_id, query FROM backend_sample ORDER BY ALL",
        {"watch.out": text + text.replace("03:12:00", "03:12:02")},
    )
    assert found == sorted(
        2
        * [
            ("client backend", 1, "UPDATE t SET a = 1"),
            ("client backend", 2, "UPDATE t SET a = 2"),
            ("innodb transaction", 1, "UPDATE t SET a = 1"),
            ("innodb transaction", 2, "UPDATE t SET a = 2"),
        ]
    )


def watched(hour: int, second: int, since: str) -> str:
    """One look of psql's `\\watch` in a session whose times have an offset of one hour."""
    return (
        f"Sat Nov 21 {hour:02}:12:{second:02} 2026 (every 1s)\n\n"
        " pid | usename | state  |          query_start          | query\n"
        "-----+---------+--------+-------------------------------+-------\n"
        f"  11 | app     | active | 2026-11-21 04:12:{since}+01 | x\n"
        "(1 row)\n\n"
    )


@pytest.mark.parametrize("hour", [4, 3, 22])
def test_a_wall_clock_above_tables_is_brought_to_the_zone_of_the_rows(hour: int, tmp_path: Path) -> None:
    """The asking session's statement began when the title was written, whatever the clock of who asks says."""
    text = "".join(watched(hour, second, f"{second:02}.25") for second in (10, 12, 14))
    found = rows(
        tmp_path, "SELECT DISTINCT sampled_at - query_start_at < INTERVAL 1 SECOND FROM backend_sample", {"s.txt": text}
    )
    assert found == [(True,)]


def test_a_single_look_at_an_idle_server_proves_no_zone(tmp_path: Path) -> None:
    [[at]] = rows(tmp_path, "SELECT sampled_at::VARCHAR FROM backend_sample", {"s.txt": watched(6, 10, "10.25")})
    assert at == "2026-11-21 06:12:10"


def test_a_look_is_not_earlier_than_what_it_shows(tmp_path: Path) -> None:
    """The title of `\\watch` is in whole seconds, and written before the query runs."""
    text = "".join(watched(3, second, f"{second:02}.75") for second in (10, 12))
    found = rows(tmp_path, "SELECT sampled_at::VARCHAR FROM backend_sample ORDER BY 1", {"s.txt": text})
    assert found == [("2026-11-21 03:12:10.75",), ("2026-11-21 03:12:12.75",)]


def test_the_backend_of_a_line_in_rfc_5424_is_the_process_it_names(tmp_path: Path) -> None:
    lines = "".join(
        f"<134>1 2026-11-21T03:12:{n:02}.100Z db1 postgres {500 + n} - - [{n}-1] LOG:  connection received: host=10.0.0.5 port=4{n:03}\n"
        for n in range(8)
    )
    found = rows(tmp_path, "SELECT backend_id FROM event ORDER BY line_no", {"messages": lines})
    assert found == [(500 + n,) for n in range(8)]


def transactions(second: int, state: str, started: str) -> str:
    """innodb_trx with one transaction of session 1."""
    return (
        f"NOW()\n2026-11-21 03:12:{second:02}\n"
        "*************************** 1. row ***************************\n"
        f"             trx_id: 7\n          trx_state: {state}\n        trx_started: 2026-11-21 03:12:{started}\n"
        "trx_mysql_thread_id: 1\n          trx_query: NULL\n"
    )


def states(folder: Path, trx: str, lists: str) -> list[tuple[str, str, str | None]]:
    return rows(
        folder,
        """
        SELECT strftime(sampled_at, '%S'), state, wait_event_type
        FROM client_backend
        WHERE backend_id = 1
        ORDER BY 1
        """,
        {"innodb_trx.txt": trx, "processlist.txt": lists},
    )


def test_a_transaction_lasts_from_its_start_to_when_it_was_last_seen(tmp_path: Path) -> None:
    """A list of transactions beside the process list says nothing of the lists before the start and after the end."""
    found = states(tmp_path, transactions(16, "RUNNING", "12"), "".join(map(listed, (10, 12, 14, 16, 18))))
    assert [state for _, state, _ in found] == ["idle", *(["idle in transaction"] * 3), "idle"]


def test_who_innodb_says_waits_for_a_lock_waits_in_the_process_list_too(tmp_path: Path) -> None:
    lists = "".join(listed(second, command="Query", time=2) for second in (10, 12))
    found = states(tmp_path, transactions(12, "LOCK WAIT", "10"), lists)
    assert [waits for _, _, waits in found] == ["Lock", "Lock"]


HIKARI = (
    "2026-11-21T03:12:{second:02}.000Z DEBUG 1 --- [orders] [l housekeeper] com.zaxxer.hikari.pool.HikariPool        : "
)


def hikari(lent: int) -> str:
    """The log of one process with a pool of ten, whose process id is 1 as in every container."""
    config = HIKARI.format(second=0).replace("pool.HikariPool        ", "HikariConfig           ")
    numbers = "".join(
        HIKARI.format(second=second) + f"orders - Pool stats (total=10, active={lent}, idle={10 - lent}, waiting=0)\n"
        for second in range(1, 31)
    )
    return f'{config}maximumPoolSize.................................10\n{config}poolName........................"orders"\n{numbers}'


def test_pools_of_one_name_in_logs_of_their_own_are_several(tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        "SELECT max(pools), max(checked_out), max(max_size) FROM pool_pressure",
        {"a.log": hikari(3), "b.log": hikari(4)},
    )
    assert found == [(2, 7.0, 20.0)]


def test_a_pool_whose_log_was_rotated_is_one(tmp_path: Path) -> None:
    first, second = hikari(3), hikari(4).replace("T03:12:", "T03:13:")
    found = rows(
        tmp_path, "SELECT max(pools), max(checked_out) FROM pool_pressure", {"a.log": second, "a.log.1": first}
    )
    assert found == [(1, 4.0)]


LOG = "2026-11-21 {at} UTC [{pid}] LOG:  connection authorized: user=app database=shop application_name=web\n"
SAMPLE = "sampled_at,pid,usename,application_name,backend_type,backend_start,state\n"


def test_sessions_of_the_first_second_of_a_log_without_fractions_are_counted(tmp_path: Path) -> None:
    """`%t` cuts off the fraction: who came in the log's first second, before it, is not later than its begin."""
    log = "".join(LOG.format(at=f"03:12:{n:02}", pid=500 + n) for n in range(10, 20))
    log += "2026-11-21 03:12:20 UTC [510] LOG:  disconnection: session time: 0:00:10.000 user=app database=shop host=10.0.0.5\n"
    sample = SAMPLE + "".join(
        f"2026-11-21 03:12:15.9+00,{pid},app,web,client backend,2026-11-21 03:12:{start}+00,idle\n"
        for pid, start in (
            (400, "10.200"),
            (510, "10.700"),
            (511, "11.3"),
            (512, "12.3"),
            (513, "13.3"),
            (514, "14.3"),
            (515, "15.3"),
        )
    )
    found = rows(
        tmp_path,
        "SELECT max(open_sessions) FROM session_count WHERE changed_at <= '2026-11-21 03:12:15'",
        {"postgresql.log": log, "activity.csv": sample},
    )
    assert found == [(7,)]


def scene_of(folder: Path, files: Mapping[str, str]) -> tuple[Case, Scene]:
    rows(folder, "SELECT 1", files)
    case = open_case(folder / "case.duckdb")
    return case, Scene(case, Window())


def test_the_calm_before_is_what_a_witness_saw_of_it(tmp_path: Path) -> None:
    """A day of somebody else's numbers before is no day in which the log was silent."""
    log = "".join(LOG.format(at=f"03:12:{n:02}", pid=500 + n) for n in range(10, 50))
    log += "2026-11-21 03:12:50 UTC [600] FATAL:  sorry, too many clients already\n"
    counts = "time,service,workers\n" + "".join(f"2026-11-20 {hour:02}:00:00,web,4\n" for hour in range(24))
    case, scene = scene_of(tmp_path, {"postgresql.log": log, "workers.csv": counts})
    with case:
        assert scene.span.since.day == 20
        assert f"{scene.began['log']:%d %H:%M:%S}" == "21 03:12:10"
        assert f"{scene.half('log'):%d %H:%M:%S}" == "21 03:12:30"


def test_counts_of_workers_each_minute_say_nothing_of_a_ramp_within_one(tmp_path: Path) -> None:
    """CloudWatch tells the greatest of a minute at its begin: the growth seems to have been before the sessions'."""
    from connforensics.analyses import leak_signature, records

    sample = SAMPLE + "".join(
        f"2026-11-21 03:12:{second:02}+00,{500 + n},app,web,client backend,2026-11-21 03:12:{1 + n:02}+00,idle\n"
        for second in range(2, 40, 2)
        for n in range(second)
    )
    counts = "time,service,workers\n" + "".join(
        f"2026-11-21 03:{minute}:20,web,{workers}\n" for minute, workers in ((10, 4), (11, 4), (12, 13), (13, 13))
    )
    case, scene = scene_of(tmp_path, {"activity.csv": sample, "workers.csv": counts})
    with case:
        [found] = records(leak_signature.run(case, scene.window))
        assert found["sessions_last"] > 30
        assert (found["workers_first"], found["workers_last"]) == (4, 13)


def test_refusals_that_clients_log_in_the_second_of_a_count_are_not_counted_again(tmp_path: Path) -> None:
    """`mysqladmin -i` after `date` tells the time in whole seconds: what was refused within it may be in the count."""

    def shown(at: str, refused: int) -> str:
        return (
            f"Sat Nov 21 03:12:{at} UTC 2026\n"
            "+-----------------------------------+-------+\n| Variable_name                     | Value |\n"
            "+-----------------------------------+-------+\n"
            f"| Connection_errors_max_connections | {refused:<5} |\n| Threads_connected                 | 10    |\n"
            "+-----------------------------------+-------+\n"
        )

    refusal = "2026-11-21 03:12:{at} ERROR [shop] pymysql.err.OperationalError: (1040, 'Too many connections')\n"
    found = rows(
        tmp_path,
        "SELECT sum(refusals), sum(unlogged) FROM counted_refusal WHERE NOT is_since_start",
        {
            "status.txt": shown("10", 0) + shown("20", 6),
            "shop.log": "".join(refusal.format(at=f"{at},100") for at in (15, 16, 17, 18, 19, 20)),
        },
    )
    assert found == [(6, 0)]


def test_an_exporter_tells_the_limit_of_every_user(tmp_path: Path) -> None:
    page = "Sat Nov 21 03:12:10 UTC 2026\nmysql_global_variables_max_user_connections 2\nmysql_global_status_threads_connected 2\n"
    found = rows(
        tmp_path,
        "SELECT DISTINCT kind, whose, quota FROM used_quota",
        {"mysqld.prom": page, "processlist.txt": listed(10)},
    )
    assert found == [("user", "shop", 2)]
