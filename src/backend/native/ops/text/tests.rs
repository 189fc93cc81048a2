//! Small cases checked by hand or against ONNX Runtime.
