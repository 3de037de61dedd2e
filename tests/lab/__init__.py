"""The lab: real servers, real clients and recorded incidents for the tests.

`python -m tests.lab.install` puts what is needed where it may; `python -m tests.lab play NAME -o DIR` plays an incident.
"""
