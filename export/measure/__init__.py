"""Measuring a model: through the code that serves it, with intervals, tables and plots."""
