#!/usr/bin/env bash
# torch.onnx: a query whose keys are all masked attends to nothing in torch, and to everything in the exported model of the default opset.
#
# Guess: the exported graph gives zeros for such rows as scaled_dot_product_attention does; the exporter even writes an
#        IsNaN after the softmax to see to that.
# Seen:  torch 2.13.0, onnxruntime 1.32.0: opset 20, the default, turns the mask into 0 and the smallest finite float, so
#        that the softmax of an all-masked row is uniform, the IsNaN never true, and the row the mean of all values
#        under the mask. Opset 23 exports one Attention node and gives zeros. Rows with one key left agree to 1e-6.
# Use:   opset_version=23 or later, or keep one real key in every row.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/env/bin/python" -W ignore - "$folder" 2>"$folder/log" <<'PYTHON' || { cat "$folder/log"; exit 1; }
import sys
from pathlib import Path

import onnx
import onnxruntime
import torch
import torch.nn.functional as F

print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
folder = Path(sys.argv[1])


class Attention(torch.nn.Module):
    def forward(self, query, key, value, mask):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


torch.manual_seed(0)
tensors = [torch.randn(2, 1, 3, 4) for _ in range(3)]
mask = torch.ones(2, 1, 3, 3, dtype=torch.bool)
mask[0, 0, :, 1:] = False  # one key left
mask[1] = False  # none
inputs = (*tensors, mask)
expected = Attention()(*inputs)
print("torch, no key left: largest output", expected[1].abs().max().item())
assert not expected[1].any()
for opset in (None, 23):
    path = folder / "attention.onnx"
    torch.onnx.export(Attention(), inputs, dynamo=True, opset_version=opset, verbose=False).save(path)
    model = onnx.load(path)
    nodes = [node.op_type for node in model.graph.node]
    session = onnxruntime.InferenceSession(path)
    names = [entry.name for entry in session.get_inputs()]
    found = torch.from_numpy(session.run(None, dict(zip(names, (x.numpy() for x in inputs))))[0])
    mean = tensors[2][1].mean(dim=-2, keepdim=True).expand_as(found[1])
    print(
        f"opset {model.opset_import[0].version} ({' '.join(nodes)}): one key left {(found[0] - expected[0]).abs().max():.0e} "
        f"from torch; none left: {found[1].abs().max():.2f}, {(found[1] - mean).abs().max():.0e} from the mean of the values"
    )
    assert torch.allclose(found[0], expected[0], atol=1e-6)
    if opset is None:
        assert model.opset_import[0].version == 20 and "IsNaN" in nodes
        assert torch.allclose(found[1], mean, atol=1e-6)
    else:
        assert nodes == ["Attention"] and not found[1].any()
PYTHON
echo "as described"
