"""Training one network: batches, the training step, schedules, and the loop."""
