"""`zoo tune`: the fastest engine of a bundle on this machine that keeps its accuracy and fits into memory."""
