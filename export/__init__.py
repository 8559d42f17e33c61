"""Write emulators as ONNX files, and evaluate them with only numpy and onnxruntime."""

import sys

if getattr(sys, "argv", [])[:1] == ["-m"]:  # python -m looks for a command in here
    from hodspectra.ending import start

    start()
