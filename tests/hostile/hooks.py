"""What schemathesis cannot read in an OpenAPI document: which bytes are a photo. SCHEMATHESIS_HOOKS names this file."""

import schemathesis
from hypothesis import strategies as st

from tests.hostile.corpus import seeds

# The negative half of its cases sends anything else.
photos = st.sampled_from([seed.data for _, seed in sorted(seeds().items()) if len(seed.data) < 20_000])

schemathesis.openapi.format("binary", photos)
for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"):
    schemathesis.openapi.media_type(f"image/{kind}", photos)
