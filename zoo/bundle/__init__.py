"""Bundles (`name.zoo/`): reading and checking them, what was built and tuned for them, and sharing them."""
