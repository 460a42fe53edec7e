"""What may stand beside the function, each optional: it starts, tests and builds alone, and imports no other."""
