"""The lab: real servers, real clients, faults, and recorded incidents for the tests.

`python -m tests.lab.install` puts what is needed where it may; `python -m tests.lab play NAME -o DIR` plays an incident,
`play-all` all of them (`make incidents`).

An incident is a module of `incidents`. `stage` plays it: on one of the `engines` (PostgreSQL, MariaDB, MySQL; behind
PgBouncer), with `service`s that talk through a `driver` and keep their own books in a `journal`, filmed by the `recorder`
(`connforensics record`). `truth` is what the books say; it lies beside the evidence and is never part of it.
"""
