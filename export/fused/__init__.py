"""Kernels of our own: several layers of a folded network as one Triton kernel, inside an AOTInductor package."""
