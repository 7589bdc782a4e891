"""From a bundle's graph to a TensorRT plan whose precision is proven."""
