"""Teachers: what gives logits for a batch, online, cached, from a torch network or an ONNX file."""
