"""Regenerate connforensics/evidence/messages/postgres_texts.tsv from the message catalogues of an installed server.

    apt-get download postgresql-15 && dpkg -x postgresql-15_*.deb unpacked
    python -m tests.extract_postgres_texts unpacked/usr/share/locale

Takes the translations of every text of the catalogue, and of the labels before a message.
"""

from __future__ import annotations

import gettext
import re
import sys
from pathlib import Path

from connforensics.evidence.messages.postgres import CATALOGUE, LABELS

TARGET = Path(__file__).parents[1] / "connforensics/evidence/messages/postgres_texts.tsv"
PLACEHOLDER = re.compile(r"%(?:\d+\$)?[-0-9.]*l?[sdumX]")
PIECES = (
    "connection authorized: user=%s",
    "replication connection authorized: user=%s",
    " database=%s",
    " application_name=%s",
    " SSL enabled (protocol=%s, cipher=%s, bits=%d)",
    "connection received: host=%s port=%s",
    "connection received: host=%s",
    "[unknown]",
    "server process",
)


def is_wanted(text: str) -> bool:
    """Whether a message of the catalogue is an instance of this text."""
    literal = PLACEHOLDER.sub("", text)
    if text in PIECES:
        return True
    if len(literal.strip()) < 10 or "\n" in text:
        return False
    pattern = ".*".join(re.escape(part) for part in PLACEHOLDER.split(text))
    return any(re.fullmatch(pattern, entry.message) for entry in CATALOGUE)


def main() -> None:
    """Write the table."""
    rows = set()
    for file in sorted(Path(sys.argv[1]).glob("*/LC_MESSAGES/postgres-*.mo")):
        language = file.parts[-3]
        with file.open("rb") as opened:
            catalogue = gettext.GNUTranslations(opened)
        for label in LABELS:
            for key in (label, f"{label}:  ", f"{label}:  %s\n", f"{label}:  %s, %s:%d\n", f"{label}:  %s:%d\n"):
                told = catalogue.gettext(key)
                own = told.split(":")[0]
                if told != key and own != label:
                    rows.add((language, label, own))
        for text in catalogue._catalog:
            if isinstance(text, str) and text and is_wanted(text):
                told = catalogue.gettext(text)
                if told != text:
                    # A text of several lines becomes several lines of the log; the first one is what is looked for.
                    rows.add((language, text, told.split("\n")[0].rstrip()))
    TARGET.write_text("".join("\t".join(row) + "\n" for row in sorted(rows)), encoding="utf-8")
    print(f"{len(rows)} rows, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
