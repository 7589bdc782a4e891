"""What is measured: words on a command line or in a file become cases, and cases become results."""
