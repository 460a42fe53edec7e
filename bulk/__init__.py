"""Whole archives through the classifier that the service runs: on this machine's threads, or on a Ray cluster.

    python -m bulk score PHOTOS --out DIR

What comes out, how it resumes and what it costs: docs/BULK.md. Of the service only `_scorer.py` knows.
"""
