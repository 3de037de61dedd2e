"""Every file of the corpus is known for what it is; the counts of each are held by its format's own tests."""

from __future__ import annotations

import pytest

from connforensics.identification import identified
from tests.corpus import CORPUS, manifest, needed

READ_AS = {
    "app_java_log": {"application_log"},
    "hikari_log": {"application_log"},
    "mysql_error_log": {"mysql_error_log"},
    "mysql_general_log": {"mysql_general_log"},
    "mysql_innodb_status": {"mysql_innodb_status"},
    "mysql_processlist_tabular": {"mysql_processlist"},
    "mysql_processlist_vertical": {"mysql_processlist"},
    "mysql_slow_log": {"mysql_slow_log"},
    "mysql_status": {"mysql_status"},
    "pg_log_csv": {"postgres_csvlog"},
    "pg_log_stderr": {"postgres_log"},
    "pg_log_syslog": {"postgres_log"},
    "pg_log_wrapped": {"postgres_log"},
    "pg_stat_activity": {"postgres_activity"},
    "pgbouncer_log": {"pgbouncer_log"},
    "pgbouncer_show": {"pgbouncer_show"},
    "prometheus_exposition": {"prometheus_text"},
    "proxysql_admin": {"proxysql_admin"},
}

OTHERWISE = {
    "netdata__netdata__mariadb_v10.8.4_process_list.txt": set(),  # two columns, no sessions: a look-alike
    "darold__pgbadger__anonymize.log": {"postgres_csvlog"},  # a csvlog that was filed among the stderr logs
    "index-70119546750__pg_connections.csv": {"backend_counts_csv"},  # counts of PostgreSQL's backends, not PgBouncer's
}


@needed
@pytest.mark.parametrize("row", manifest(), ids=lambda row: row["file"].rsplit("/", 1)[-1])
def test_a_file_of_the_corpus_is_what_it_is(row: dict[str, str]) -> None:
    [found] = identified([CORPUS / row["file"]])
    expected = OTHERWISE.get(row["file"].rsplit("/", 1)[-1], READ_AS[row["format"]])
    assert {part.format.name for part in found.parts if part.format} == expected
