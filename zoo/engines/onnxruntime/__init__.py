"""ONNX Runtime as a backend: on the CPU, on CUDA, and with int8 operators of our own."""
