"""Trained weights: read from a file, a package or a library's hub, and taken over by a network."""
