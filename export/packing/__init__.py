"""Packing: from a trained network to a bundle of proven graphs."""
