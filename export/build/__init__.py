"""Builders: from a graph of a bundle to an engine for one kind of machine."""
