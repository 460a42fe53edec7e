"""Other ways to serve the same network, each written the way its own documentation shows."""
