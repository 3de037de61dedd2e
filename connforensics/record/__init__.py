"""Live servers to evidence files: one held connection a server, a sample a second, plain compressed JSON lines.

The best evidence is taken while it happens, and at saturation every monitor that needs a new connection goes blind. The
recorder connects once, before, and keeps what it has. Every file it leaves can be read with `zstdcat`, and by `ingest`
while it still grows.
"""
