"""Training networks: the only part of the training side that needs PyTorch. The result is a body."""
