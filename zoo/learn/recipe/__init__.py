"""Recipes: the TOML files that say what is trained on what, by which teacher, and how."""
