"""An uploaded file → pixels: decoding and its limits. Nothing here knows HTTP or the network."""
