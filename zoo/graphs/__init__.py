"""ONNX graphs without torch: reading them, indexing their nodes, and counting their work."""
