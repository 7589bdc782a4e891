"""Labelling images by asking a black box: each raw reply goes into one file, then tags and pairs for training."""
