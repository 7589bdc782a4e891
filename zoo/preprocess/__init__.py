"""Preprocessing: from the bytes of a picture to the uint8 pixels that a network is fed."""
