"""Training spiking networks in PyTorch and exporting them to ONNX."""
