"""`zoo bench campaign`: many `zoo` commands that belong together, in slices, resumable."""
