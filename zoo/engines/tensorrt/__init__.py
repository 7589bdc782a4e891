"""TensorRT as a backend: runs the plans that `zoo build` makes."""
