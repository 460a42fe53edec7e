"""What `python -m api` does: one module a command."""
