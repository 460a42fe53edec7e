"""Training networks: the only part of the training side that needs PyTorch. What comes out is a body."""
