"""From an ONNX file to a fixed-point program: import, passes, integer reference."""
