"""The fast engine: graphs run by ONNX Runtime, with reference kernels for what it cannot do."""
