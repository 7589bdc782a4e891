"""The demo: the whole line once, on real handwritten digits."""
