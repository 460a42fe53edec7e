"""The ONNX graph that is served: quantized body, fitted head and everything numeric between pixels and answers."""
