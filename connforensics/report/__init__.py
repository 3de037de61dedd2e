"""From a case to a report: the notebook is run headless, its outputs become one HTML page, Markdown and JSON.

parameters   what may be handed to a notebook, checked before anything runs
run          papermill, and the files written
panels       what the cells of a notebook show besides charts: verdict, facts, tables
advice       what prevents each cause, as data
figures      Vega-Lite specifications made small and themable, and their static copies
page         nbconvert and our template: one file that works from disk
markdown     the same as Markdown
"""

from __future__ import annotations
