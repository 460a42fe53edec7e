"""Photos: found in a user's folder, decoded by the code that serves, checked before anybody trains on them."""

# The photos are the user's own, so the service's limit against hostile uploads does not apply.
MAX_PIXELS = 1_000_000_000
