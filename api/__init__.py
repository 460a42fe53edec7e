"""Purrdict's deployed side: one stateless function that reads a published model and answers over HTTP."""
