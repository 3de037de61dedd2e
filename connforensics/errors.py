"""What can go wrong, as a reader of the terminal sees it: what happened and where, then what to try.

    ConnforensicsError           1  a defect of ours
    ├── UsageError               2  a wrong call: option, window, parameter, question
    │   ├── CaseError            2  the case file is missing, foreign, locked or of a newer schema
    │   └── EvidenceError        2  a path cannot be read at all
    ├── NotUnderstoodError       3  the evidence was not understood well enough to conclude
    ├── UnreachableError         4  a live server could not be reached
    └── StorageError             1  the disk is full, or refuses to be written

The number is the exit code of the command line.
"""

from __future__ import annotations


class ConnforensicsError(Exception):
    """Something failed; `what` names it with its place, `hint` says what to try."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n{self.hint}" if self.hint else self.what


class UsageError(ConnforensicsError):
    """The call is wrong."""

    exit_code = 2


class CaseError(UsageError):
    """The case file cannot be used."""


class EvidenceError(UsageError):
    """A path cannot be read."""


class NotUnderstoodError(ConnforensicsError):
    """Nothing, or too little, of the evidence is about connections."""

    exit_code = 3


class UnreachableError(ConnforensicsError):
    """A live server could not be reached."""

    exit_code = 4


class StorageError(ConnforensicsError):
    """The disk is full or cannot be written."""
