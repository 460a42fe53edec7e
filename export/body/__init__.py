"""The body: the convolutional part of a pretrained network. It turns photos into features for a head."""
