"""Runs: the folder that one execution of a recipe writes, stage by stage."""
