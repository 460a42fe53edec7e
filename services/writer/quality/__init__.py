"""The quality suite: ten notes, and what a text that is made of them must and must not say."""
