"""Photos: found in a user's folder, decoded by the code that serves, checked before anybody trains on them."""

# On the training side the user owns the photos: the service's limit against hostile uploads has no place here.
MAX_PIXELS = 1_000_000_000
