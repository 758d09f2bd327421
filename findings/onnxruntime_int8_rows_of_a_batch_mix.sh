#!/usr/bin/env bash
# onnxruntime: in a dynamically quantized model a row's result depends on the other rows of its batch.
#
# Guess: quantize_dynamic costs digits, and the same ones for a row alone and for the row in a batch, as in float32.
# Seen:  onnxruntime 1.32.0 takes one scale for the activations of the whole batch, for MatMul and for Conv. A row of
#        ordinary size is off by 2 to 3 % of its deviation alone; beside a row 100 times as large few of its 256 levels
#        are left, and it is off by all of its deviation. Beside a copy of itself nothing changes, nor in float32.
#        Padding counts as well: what stands there must be small.
# Use:   batches of one, or of rows of like size, and compare answers over batches before an int8 model is trusted.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/env/bin/python" - "$folder" 2>"$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

print("onnxruntime", onnxruntime.__version__)
folder = Path(sys.argv[1])
generator = np.random.default_rng(0)


def build(kind):
    """A network of one layer, float32 and int8, as sessions."""
    shapes = {"MatMul": ((64, 16), ("batch", 64), ("batch", 16)), "Conv": ((16, 8, 3), ("batch", 8, 20), ("batch", 16, 18))}
    weight, inputs, outputs = shapes[kind]
    fan_in = 64 if kind == "MatMul" else 8 * 3
    values = (generator.normal(size=weight) / fan_in**0.5).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"])], "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)], [numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    path = folder / f"{kind}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    quantize_dynamic(path, folder / f"{kind}.int8.onnx", weight_type=QuantType.QInt8)
    files = {"float32": path, "int8": folder / f"{kind}.int8.onnx"}
    return {name: onnxruntime.InferenceSession(file) for name, file in files.items()}, inputs[1:]


for kind in ("MatMul", "Conv"):
    sessions, shape = build(kind)
    row, large = (scale * generator.normal(size=(1, *shape)).astype(np.float32) for scale in (1, 100))
    batches = {"alone": [row], "beside a copy": [row, row], "beside a large one": [row, large]}
    truth = sessions["float32"].run(None, {"x": row})[0][0]
    off = {}
    for precision, session in sessions.items():
        for name, batch in batches.items():
            off[precision, name] = float(np.abs(session.run(None, {"x": np.concatenate(batch)})[0][0] - truth).max() / truth.std())
            print(f"{kind}, {precision}, {name}: {off[precision, name]:.2g} of the deviation off")
    assert all(value < 1e-5 for (precision, _), value in off.items() if precision == "float32")
    assert off["int8", "alone"] < 0.05 and off["int8", "beside a copy"] == off["int8", "alone"]
    assert off["int8", "beside a large one"] > 0.3
PYTHON
echo "as described"
