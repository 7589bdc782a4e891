"""Compiling a trained network: graphs at each precision, proven against torch, packed as a bundle."""
