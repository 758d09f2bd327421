#!/usr/bin/env bash
# torch 2.14: a function in two pieces, each on a clamped argument, has a wrong gradient just where the pieces meet.
#
# Guess: where(v < b, series(v.clamp_max(b)), closed(v.clamp_min(b))) is the usual way to keep the branch that is not
#        taken finite; at v = b the second branch is taken, its clamp changes nothing, so the gradient is its slope.
# Seen:  torch 2.13.0: so, the slope at the joint is that of its neighbours. torch 2.14.1: 0 there, since clamp by a
#        number passes no gradient on at the bound itself any more, forward mode likewise; with a tensor as bound half
#        of it, as torch.maximum does. Values are unchanged, and random inputs rarely meet the joint; a grid does.
#        In 2.13.0 the two modes disagreed for a tensor as bound: 1 backward, 0 forward.
# Use:   torch.where(v < b, b, v) in place of v.clamp_min(b): its slope at b is 1 in both versions.
#
# Ends with 0 while that is so. Both builds are installed; NEW and OLD may name others, as a CPU build of the same version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/look.py" <<'PYTHON'
import torch

print("torch", torch.__version__)
bound, steps = 0.25, (0.0, 0.25, 0.5)
tensor_bound = torch.full((3,), bound, dtype=torch.float64)


def joined(lower, upper):
    """x in two pieces of the same line."""
    return lambda v: torch.where(v < bound, lower(v), upper(v))


functions = {
    "clamp": joined(lambda v: v.clamp_max(bound), lambda v: v.clamp_min(bound)),
    "clamp, tensor": joined(lambda v: v.clamp(max=tensor_bound), lambda v: v.clamp(min=tensor_bound)),
    "where": joined(lambda v: torch.where(v < bound, v, bound), lambda v: torch.where(v < bound, bound, v)),
}
seen = {}
for name, function in functions.items():
    v = torch.tensor(steps, dtype=torch.float64, requires_grad=True)
    values = function(v)
    (backward,) = torch.autograd.grad(values.sum(), v)
    _, forward = torch.func.jvp(function, (v.detach(),), (torch.ones_like(v),))
    print(f"{name:14} values {values.tolist()}  backward {backward.tolist()}  forward {forward.tolist()}")
    assert values.tolist() == list(steps)
    seen[name] = (backward.tolist(), forward.tolist())
whole, lost, half = [1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.5, 1.0]
new = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 14)
expected = (
    {"clamp": (lost, lost), "clamp, tensor": (half, half), "where": (whole, whole)}
    if new
    else {"clamp": (whole, whole), "clamp, tensor": (whole, lost), "where": (whole, whole)}
)
assert seen == expected, expected
PYTHON
for torch in "${OLD:-torch==2.13.0}" "${NEW:-torch==2.14.1}"; do
    rm -rf "$folder/env"
    python3 -m venv "$folder/env"
    "$folder/env/bin/python" -m pip install -q --disable-pip-version-check "$torch" numpy==2.4.6
    "$folder/env/bin/python" "$folder/look.py"
done
