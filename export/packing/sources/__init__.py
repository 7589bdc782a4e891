"""What a bundle can be made from: a checkpoint, any torch module, a library's model, an ONNX file."""
