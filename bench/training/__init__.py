"""Training throughput: images per second with no teacher, an online teacher, and cached logits."""
