"""Evidence after the fact from a real Prometheus; what other servers may answer is played by a small one."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from connforensics.case import open_case
from connforensics.errors import UnreachableError, UsageError
from connforensics.ingest import ingest
from connforensics.record import prometheus as api
from connforensics.record.files import now
from tests.lab.prometheus import Prometheus, require
from tests.lab.server import free_port

TOKEN = "planted-zqx-token"


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """A Prometheus that scrapes itself; `up` is the metric that every case understands."""
    require(Prometheus.PROGRAM)
    with Prometheus() as server:
        server.wait_for("up", 8)
        yield server.url


def test_what_a_case_understands_is_fetched_as_the_api_gives_it(prometheus: str, tmp_path: Path) -> None:
    span = api.span(None, None, 1.0, 60.0)
    fetched = api.fetch(prometheus, tmp_path / "rec", span, ["scrape_duration_seconds"])
    assert fetched.files == len(list((tmp_path / "rec").iterdir()))
    (path,) = (tmp_path / "rec").glob("up-*")
    told = json.loads(gzip.decompress(path.read_bytes()))
    assert told["status"] == "success"
    assert told["data"]["result"][0]["metric"]["__name__"] == "up"
    (asked,) = (tmp_path / "rec").glob("query_1-*")
    assert b"scrape_duration_seconds" in gzip.decompress(asked.read_bytes())
    assert not list((tmp_path / "rec").glob("go_gc*"))
    ingest(tmp_path / "case.duckdb", [path])
    with open_case(tmp_path / "case.duckdb") as case:
        assert case.scalar("SELECT count(*) FROM metric_sample WHERE name = 'up' AND value = 1") >= 3


def test_a_long_range_comes_in_bounded_chunks_that_share_no_point() -> None:
    since = datetime(2026, 11, 20)
    span = api.Span(since, since + timedelta(days=1), 15.0)
    chunks = list(span.chunks())
    assert all((until - begun).total_seconds() / 15 < api.CHUNK_POINTS for begun, until in chunks)
    points = [
        begun + timedelta(seconds=15 * at)
        for begun, until in chunks
        for at in range(int((until - begun).total_seconds() // 15) + 1)
    ]
    assert points == [since + timedelta(seconds=15 * at) for at in range(5761)]


def test_a_query_that_prometheus_does_not_take_is_a_wrong_call(prometheus: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"HTTP 400.*parse error"):
        api.fetch(prometheus, tmp_path, api.span(None, None, 15.0, 60.0), ["up{"])


def test_nobody_there_is_exit_code_4(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="Connection refused"):
        api.fetch(f"http://127.0.0.1:{free_port()}", tmp_path, api.span(None, None, 15.0, 60.0))


def test_an_empty_range_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not before"):
        api.fetch("http://127.0.0.1:1", tmp_path, api.Span(now(), now() - timedelta(hours=1), 15.0))


class Strange(BaseHTTPRequestHandler):
    """Answers as other servers might: asks for a token, redirects, speaks HTML."""

    seen: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/closed"):
            self.send_response(401)
            self.end_headers()
        elif self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere/api/v1/label/__name__/values")
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Grafana</html>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PROMETHEUS_TOKEN", TOKEN)
    Strange.seen.clear()
    server = HTTPServer(("127.0.0.1", 0), Strange)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "said"), [("/closed", "HTTP 401"), ("/moved", "HTTP 302"), ("/html", "not Prometheus'")]
)
def test_other_answers_are_said_and_the_token_is_not(strange: str, tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(UnreachableError, match=said) as caught:
        api.fetch(strange + path, tmp_path, api.span(None, None, 15.0, 60.0))
    assert TOKEN not in str(caught.value)
    assert Strange.seen == [(Strange.seen[0][0], f"Bearer {TOKEN}")], "the token goes where it was meant to, once"
