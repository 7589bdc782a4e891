"""The architectures of the students, one family a file."""
