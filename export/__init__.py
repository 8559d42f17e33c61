"""Emulators as ONNX files: writing them, and evaluating them with numpy and onnxruntime alone."""
