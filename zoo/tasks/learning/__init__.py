"""What a task needs while a network learns it, on top of what it says of a trained one. Torch is needed here."""
