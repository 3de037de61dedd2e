"""Prometheus after the fact: the numbers of a past range that say something about connections, in its own JSON.

The server is asked which metrics it has in the range; of these every one is fetched whose name a case understands, and
what the caller asks for besides. An answer is written as the API gives it, one file a metric and chunk of time, so that
neither side holds more than a chunk (https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries). The same
API is spoken by Thanos, Mimir, Cortex and VictoriaMetrics.

A name and a password come from ~/.netrc, a token from PROMETHEUS_TOKEN.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import netrc
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from connforensics.errors import StorageError, UnreachableError, UsageError
from connforensics.record.files import now

TIMEOUT_S: Final = 60.0
READ_BYTES: Final = 1 << 18

CHUNK_POINTS: Final = 1_000
"""Points of one series in one answer; Prometheus itself allows 11,000. A chunk of 1,000 series is about 30 MB."""

BUCKETS: Final = "_bucket"
"""Histograms' buckets are many, and no case keeps them: sum and count say it better."""

TOO_MUCH: Final = re.compile(r"(?i)too many|timed out|exceed|limit|max(imum)? (number|resolution)")
"""Of what servers say when an answer would be longer than they allow: of fewer points it may not be."""

EMPTY: Final = b'"result":[]'
NAME: Final = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")


@dataclass(frozen=True, slots=True)
class Span:
    """The past range asked for, naive UTC, and the step between points."""

    since: datetime
    until: datetime
    step_s: float

    def chunks(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield pieces of at most CHUNK_POINTS points; none shares a point with the next."""
        step = timedelta(seconds=self.step_s)
        begun = self.since
        while begun <= self.until:
            ended = min(begun + step * (CHUNK_POINTS - 1), self.until)
            yield begun, ended
            begun = ended + step


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was written: how many files, of how many metrics, with how many bytes."""

    folder: str
    metrics: int
    files: int
    bytes: int


class TooMuchError(UsageError):
    """The server does not give so much at once."""


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the token to wherever it points."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        return None


class Api:
    """The HTTP API of one server."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._opener = build_opener(_NoRedirect)
        self._headers = {"Accept": "application/json", "User-Agent": "connforensics", **_authorization(self._url)}

    def open(self, path: str, parameters: Mapping[str, str]) -> Any:
        """Return the opened answer of a call. Raises UnreachableError and UsageError."""
        url = f"{self._url}/api/v1/{path}?{urlencode(parameters)}"
        try:
            return self._opener.open(Request(url, headers=self._headers), timeout=TIMEOUT_S)  # noqa: S310 - http(s) only
        except HTTPError as error:
            with error:
                said = _told(error.read(READ_BYTES)) or error.reason
            place = f"{self._url}: HTTP {error.code}: {said}"
            if TOO_MUCH.search(said):
                raise TooMuchError(place, "Ask for a shorter range, or with a longer --every.") from None
            if error.code in (400, 422):
                raise UsageError(place, "Check the query; it is sent as given.") from None
            if error.code in (401, 403):
                raise UnreachableError(
                    place, "Put name and password into ~/.netrc, or a token into PROMETHEUS_TOKEN."
                ) from None
            raise UnreachableError(place, "Name the address under which /api/v1 answers.") from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(f"{self._url}: {reason}", "Check the address and the network.") from None

    def names(self, span: Span) -> list[str]:
        """Return the names of all metrics that have samples in the span."""
        bounds = {"start": _text(span.since), "end": _text(span.until)}
        with self.open("label/__name__/values", bounds) as answer:
            try:
                told = json.load(answer)
                return [str(name) for name in told["data"]]
            except (ValueError, KeyError, TypeError):
                raise UnreachableError(
                    f"{self._url}: its answer is not Prometheus'", "Name the address of its API."
                ) from None


def fetch(url: str, folder: Path, span: Span, queries: Sequence[str] = ()) -> Fetched:
    """Write the answers for every metric that a case understands, and for `queries`, into `folder`.

    Raises UnreachableError, UsageError (a query that Prometheus does not take) and StorageError.
    """
    from connforensics.evidence.metric_names import may_mean

    if span.since >= span.until:
        raise UsageError(
            "--since is not before --until", "Give the earlier time to --since; times without a zone are UTC."
        )
    api = Api(url)
    names = [name for name in api.names(span) if NAME.match(name) and not name.endswith(BUCKETS) and may_mean(name)]
    asked = {**{name: name for name in names}, **{_file_name(text): text for text in queries}}
    found: set[str] = set()
    files = size = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, query in asked.items():
            for written in _written(api, query, span, folder, name.replace(":", "_")):
                found.add(name)
                files += 1
                size += written
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror or error}", "Free some space and run the same command again."
        ) from error
    return Fetched(str(folder), len(found), files, size)


def _file_name(query: str) -> str:
    """Return how the file of a query is called: the same for the same query, another for another."""
    return f"query_{hashlib.blake2b(query.encode(), digest_size=4).hexdigest()}"


def _written(api: Api, query: str, span: Span, folder: Path, stem: str) -> Iterator[int]:
    """Write the answers of one query, a file a chunk; yields the bytes of each. What is too much is asked for in halves."""
    chunks = deque(span.chunks())
    while chunks:
        since, until = chunks.popleft()
        points = int((until - since).total_seconds() / span.step_s) + 1
        moment = f"{since:%Y%m%dT%H%M%S}" + (f".{since.microsecond:06d}" if since.microsecond else "")
        try:
            written = _write(api, query, since, until, span.step_s, folder / f"{stem}-{moment}Z.json.gz")
        except TooMuchError:
            if points < 2:
                raise
            middle = since + timedelta(seconds=span.step_s) * (points // 2)
            chunks.extendleft([(middle, until), (since, middle - timedelta(seconds=span.step_s))])
        else:
            if written:
                yield written


def _write(api: Api, query: str, since: datetime, until: datetime, step_s: float, path: Path) -> int:
    """Write one answer as it comes; returns the bytes on disk, 0 where it has no series."""
    import gzip

    bounds = {"query": query, "start": _text(since), "end": _text(until), "step": f"{step_s:g}"}
    partial = path.with_name(f".{path.name}.partial")
    try:
        with api.open("query_range", bounds) as answer, gzip.open(partial, "wb", compresslevel=6) as file:
            block = _block(answer)
            if EMPTY in block[:200].replace(b" ", b""):
                return 0
            while block:
                file.write(block)
                block = _block(answer)
        partial.replace(path)
        return path.stat().st_size
    finally:
        partial.unlink(missing_ok=True)


def _block(answer: Any) -> bytes:
    """Return the next part of an answer. A network that fails is no disk that does: raises UnreachableError."""
    try:
        return bytes(answer.read(READ_BYTES))
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"an answer of Prometheus ended early: {error}", "Run the same command again.") from None


def span(since: datetime | None, until: datetime | None, step_s: float, length_s: float) -> Span:
    """Return the span between two times; without the earlier one it is as long as told, without the later it ends now."""
    ended = until or now().replace(microsecond=0)
    return Span(since or ended - timedelta(seconds=length_s), ended, step_s)


def _authorization(url: str) -> dict[str, str]:
    token = os.environ.get("PROMETHEUS_TOKEN", "").strip()
    if token:
        if not (token.isascii() and token.isprintable()):
            raise UsageError(
                "PROMETHEUS_TOKEN is not a token: it has a line end or another character in it that none has",
                "Set it to the token alone, in one line.",
            )
        return {"Authorization": f"Bearer {token}"}
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        known = netrc.netrc().authenticators(urlsplit(url).hostname or "")
        if known is not None:
            return {"Authorization": "Basic " + base64.b64encode(f"{known[0]}:{known[2]}".encode()).decode()}
    return {}


def _told(body: bytes) -> str:
    try:
        return " ".join(str(json.loads(body)["error"]).split())[:300]
    except (ValueError, KeyError, TypeError):
        return ""


def _text(moment: datetime) -> str:
    return f"{moment.replace(tzinfo=UTC).timestamp():.3f}"
