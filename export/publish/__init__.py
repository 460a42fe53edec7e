"""From a run to a published version: checked, described, moved into the registry whole, and never replaced."""
