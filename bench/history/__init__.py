"""Results over time: two files side by side, and a folder of them as a page."""
