"""Deliberate breaks of the code, and whether a test notices them."""

KILLED, TIMEOUT, SURVIVED, NO_TEST = "killed", "timeout", "survived", "no test"
