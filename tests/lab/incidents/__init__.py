"""The incidents, one module each: `CAUSE`, `SAYS`, `SERVER` and `play(stage)`; see tests/lab/stage.py."""
