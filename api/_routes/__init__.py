"""What the app answers at which address: one module a group of routes."""
