"""Lines that say when the table below them was made: `date`, `\\watch`'s title in any language, pt-stalk's `TS`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from connforensics.evidence import times
from connforensics.evidence.shapes import normal

LONGEST: Final = 120
"""A line longer than this is no time."""

MONTHS: Final = {
    "Jan": "jan januar january janvier janv enero ene gennaio gen januari janeiro янв января stycznia sty led ledna ocak oca tammi jän",
    "Feb": "feb februar february février fevr févr febrero febbraio februari fevereiro fev фев февраля lutego lut úno února şub helmi",
    "Mar": "mar march märz mars marzo maart mrt março мар марта marca mrz bře března maalis mär",
    "Apr": "apr april avril avr abril abr aprile апр апреля kwietnia kwi dub dubna nis huhti",
    "May": "may mai mayo maggio mag mei maio мая май maja maj kvě května touko",
    "Jun": "jun juni june juin junio giugno giu junho июн июня czerwca cze čen červen haz kesä",
    "Jul": "jul juli july juillet juil julio luglio lug julho июл июля lipca lip čec červenec tem heinä",
    "Aug": "aug august août aout agosto ago augustus авг августа sierpnia sie srp srpna ağu elo augusti",
    "Sep": "sep sept september septembre septiembre settembre set setembro сен сентября września wrz zář září eyl syys",
    "Oct": "oct october okt oktober octobre octubre ottobre ott outubro out окт октября października paź říj října eki loka",
    "Nov": "nov november novembre noviembre novembro ноя ноября listopada lis kas marras",
    "Dec": "dec december dez dezember décembre déc diciembre dic dicembre dezembro дек декабря grudnia gru pro prosince ara joulu",
}
"""Names of the months in the languages psql and `date` speak, as their libraries abbreviate them."""

_MONTH: Final = {word: month for month, words in MONTHS.items() for word in words.split()}
_RATED = re.compile(r"^(.*\d), rate: \d+\w*$")
_WATCHED = re.compile(r"^(.*?\d.*?)\s*\([^()]*\d[^()]*\)$")
_WATCH_EVERY = re.compile(r"^\D*\d+(?:\.\d+)?s\t+(.*\d.*)$")
_BEGINS_ISO = re.compile(r"\d{4}[-/]\d")
_ISO = re.compile(
    r"\d{4}([-/])\d\d?\1\d\d?[ T]+\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)? ?(?:Z|[+-]\d\d?(?::?\d\d)?|[A-Z]{3,5}|\w+/\w+)?$"
)
_STALK = re.compile(r"^TS (\d{9,}(?:\.\d+)?)(?: .*)?$")
_FAR_EAST = re.compile(r"(\d{4})[年년]\s*(\d{1,2})[月월]\s*(\d{1,2})[日일]")
_CLOCK = re.compile(r"(\d{1,2})[时時시:]\s*(\d{1,2})[分분:]\s*(\d{1,2})[秒초]?")
_AFTERNOON = re.compile(r"오후|下午|午後|[Pp]\.?[Mm]\.?")
_WORDS = re.compile(r"[^\W\d_]+\.?")
_TIME_OF_DAY = re.compile(r"\b(\d{1,2}:\d\d:\d\d(?:\.\d+)?)")
_ZONE = re.compile(r"(?<=[\d ])(?:Z|[A-Z]{3,5}|[+-]\d\d:?\d\d)\b")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def told(text: str, zone: str | None) -> str | None:
    """Return the time that a line is, as ISO text in UTC; None where the line is anything else."""
    bare = text.strip()
    if not bare or len(bare) > LONGEST or not any(letter.isdigit() for letter in bare):
        return None
    stalk = _STALK.match(bare)
    if stalk is not None:
        return _iso(stalk.group(1), zone)
    if not _CLOCK.search(bare):
        return None
    watched = _WATCHED.match(bare)
    every = _WATCH_EVERY.match(bare)
    rated = _RATED.match(bare)
    for candidate in (
        bare,
        watched.group(1) if watched else "",
        every.group(1) if every else "",
        rated.group(1) if rated else "",
        watched.group(1).rpartition("\t")[2] if watched else "",
        bare.partition(": ")[2],
        bare.strip("#-=*[]<> "),
    ):
        is_all = (
            candidate[-1:].isalnum()
            and _CLOCK.search(candidate)
            and (not _BEGINS_ISO.match(candidate) or _ISO.match(candidate))
        )
        here = _iso(candidate, zone) if is_all else None
        if here is not None:
            return here
    return _abroad(watched.group(1) if watched else bare, zone, is_title=watched is not None)


def _iso(text: str, zone: str | None) -> str | None:
    moment = times.parse(text, zone)
    return moment.isoformat(sep=" ") + "+00" if moment is not None else None


def _abroad(text: str, zone: str | None, *, is_title: bool) -> str | None:
    """Read a time with the names of another language: only a line that is all time is one."""
    east, clock = _FAR_EAST.search(text), _CLOCK.search(text)
    if east is not None and clock is not None:
        date = "-".join(f"{int(part):02d}" for part in east.groups())
        hour = int(clock.group(1)) % 24
        hour += 12 if _AFTERNOON.search(text) and hour < 12 else 0
        named = _ZONE.search(text, clock.end())
        return _iso(f"{date} {hour:02d}:{clock.group(2)}:{clock.group(3)}{named.group() if named else ''}", zone)
    words = [word.rstrip(".") for word in _WORDS.findall(text)]
    others = [word for word in words if word.lower() not in _MONTH and not word.isupper()]
    if len(others) > (4 if is_title else 2):
        return None
    bare = " ".join(text.split())
    for word in words:
        month = _MONTH.get(word.lower())
        day = re.search(rf"\b(\d{{1,2}})\.? (?:de )?{re.escape(word)}\b|\b{re.escape(word)}\.? (\d{{1,2}})\b", bare)
        year = _YEAR.search(bare)
        time_of_day = _TIME_OF_DAY.search(bare)
        if month is None or day is None or year is None or time_of_day is None:
            continue
        written = time_of_day.group(1)
        if _AFTERNOON.search(bare):
            hours, _, rest = written.partition(":")
            written = f"{int(hours) % 12 + 12}:{rest}"
        named = _ZONE.search(bare, time_of_day.end())
        return _iso(
            f"{day.group(1) or day.group(2)} {month} {year.group()} {written}{' ' + named.group() if named else ''}",
            zone,
        )
    return None


def among(names: Sequence[str], cells: Sequence[str | None], zone: str | None) -> str | None:
    """Return the time in the only row of a small table that asks for it, as `SELECT now()` gives."""
    for name, cell in zip(names, cells, strict=True):
        if cell and (len(names) == 1 or normal(name) in times.COLUMNS):
            here = told(cell, zone) or (_iso(cell, zone) if normal(name) in ASKED else None)
            if here is not None:
                return here
    return None


ASKED: Final = frozenset(
    (*times.COLUMNS, "sysdate", "utc_timestamp", "unix_timestamp", "curtime", "?column?", "extract")
)
"""Names that the column with the time has where it was asked for."""


def is_asking(text: str) -> bool:
    """Tell whether a line is the header of `SELECT now()` written without a drawing."""
    return normal(re.sub(r"\(\d?\)", "", text)) in ASKED


def begins_sample(lines: Sequence[str]) -> bool:
    """Tell whether lines begin with a time, or with the header of `SELECT now()` and the time below it."""
    if is_asking(lines[0]):
        return len(lines) > 1 and told(lines[1], None) is not None
    return told(lines[0], None) is not None
