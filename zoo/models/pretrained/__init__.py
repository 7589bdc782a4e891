"""Trained weights from elsewhere: where they come from, and under which names."""
