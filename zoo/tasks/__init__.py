"""The problems that networks solve: what their outputs mean, how they are scored, and how they are learned."""
