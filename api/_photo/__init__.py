"""Bytes from a stranger → pixels: decoding, and what it may cost. Nothing here knows of HTTP or of the network."""
