"""What runs: engines of ours, networks as their owners run them, what others do with the same."""
