"""Emulators as ONNX files: writing them, and evaluating them with numpy and onnxruntime alone."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
