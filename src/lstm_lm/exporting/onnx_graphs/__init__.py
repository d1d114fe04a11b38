"""Models as ONNX graphs of operators that every onnxruntime has, one module a kind of model."""
