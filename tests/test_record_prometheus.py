"""Evidence after the fact from a real Prometheus; what other servers may answer is played by a small one."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.client import HTTPResponse
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
READ = HTTPResponse.read


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
    (asked,) = (tmp_path / "rec").glob("query_*")
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


def test_what_the_server_gives_only_in_parts_is_asked_for_in_parts(tmp_path: Path) -> None:
    require(Prometheus.PROGRAM)

    class Stingy(Prometheus):
        def _command(self) -> list[str]:
            return [*super()._command(), "--query.max-samples=10"]

    with Stingy() as server:
        server.wait_for("up", 8)
        span = api.span(None, None, 0.1, 30.0)
        fetched = api.fetch(server.url, tmp_path / "rec", span)
        parts = list((tmp_path / "rec").glob("up-*"))
        assert fetched.files >= len(parts) > 1
        with pytest.raises(UsageError, match="too many samples") as caught:
            api.fetch(server.url, tmp_path / "all", span, ["{__name__=~'.+'}"])
        assert "longer --every" in str(caught.value.hint)
    ingest(tmp_path / "case.duckdb", parts)
    with open_case(tmp_path / "case.duckdb") as case:
        count, first, last = case.rows(
            "SELECT count(DISTINCT sampled_at), min(sampled_at), max(sampled_at) FROM metric_sample WHERE name = 'up'"
        )[0]
    assert count == round((last - first).total_seconds() / 0.1) + 1, "no point is missing between the parts"


def test_another_query_leaves_the_answer_to_the_first_alone(prometheus: str, tmp_path: Path) -> None:
    span = api.span(None, None, 1.0, 60.0)
    for query in ("up + 1", "up + 2", "up + 1"):
        api.fetch(prometheus, tmp_path, span, [query])
    assert len(list(tmp_path.glob("query_*"))) == 2


def test_a_token_of_two_lines_is_a_wrong_call_and_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_TOKEN", f"{TOKEN}\n{TOKEN}")
    with pytest.raises(UsageError) as caught:
        api.fetch("http://127.0.0.1:1", tmp_path, api.span(None, None, 15.0, 60.0))
    assert TOKEN not in str(caught.value)


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
        elif self.path.startswith("/torn") and "query_range" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"status":"success","data":{')
        elif self.path.startswith("/torn"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"success","data":["up"]}')
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


def test_an_answer_that_is_torn_is_no_full_disk(strange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(
        "http.client.HTTPResponse.read",
        lambda self, *size: torn() if size and size[0] == api.READ_BYTES else READ(self, *size),
    )
    with pytest.raises(UnreachableError, match="ended early"):
        api.fetch(f"{strange}/torn", tmp_path, api.span(None, None, 15.0, 60.0))
    assert not list(tmp_path.iterdir())
