"""Photos: found in a user's folder, decoded by the code that serves, checked before anybody trains on them."""
