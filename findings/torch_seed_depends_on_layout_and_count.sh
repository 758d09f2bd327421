#!/usr/bin/env bash
# torch: one seed draws other noise for a channels_last tensor, and numbers in the middle of a draw depend on how many follow.
#
# Guess: on the CPU the same seed, shape and dtype give the same noise, and n numbers are the first n of more.
# Seen:  torch 2.13.0: a channels_last tensor gets other normal numbers altogether (randn_like, normal_: none in common), and
#        the same uniform ones at other pixels (rand_like, dropout fill memory in its order). Draws of fewer than 16
#        normal numbers share none with longer ones. Above that, where 16 does not divide the count, the last 16 are
#        drawn a second time: of randn(33) and randn(40) the first 17 are equal, then 14 of the next 16 differ. rand
#        has neither of the two.
# Use:   draw in the ordinary layout with torch.randn, in counts that 16 divides, and convert.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import torch
import torch.nn.functional as F

print("torch", torch.__version__)


def seeded(draw, *arguments):
    torch.manual_seed(0)
    return draw(*arguments)


ordinary = torch.ones(2, 3, 8, 8)
last = ordinary.to(memory_format=torch.channels_last)
for name, draw in (
    ("randn_like", torch.randn_like), ("rand_like", torch.rand_like), ("normal_", lambda x: torch.empty_like(x).normal_()),
    ("dropout", F.dropout),
):  # fmt: skip
    a, b = seeded(draw, ordinary), seeded(draw, last)
    assert a.shape == b.shape and not torch.equal(a, b), name
    same = torch.equal(a.flatten(), b.permute(0, 2, 3, 1).flatten())
    common = len(set(a.flatten().tolist()) & set(b.flatten().tolist()))
    print(f"{name}: {(a != b).float().mean():.0%} of the pixels differ; {common} numbers in common, in the order of memory equal: {same}")
    assert same is (name in ("rand_like", "dropout")), name
    assert same or not common, name

for draw in (torch.randn, torch.rand):
    for count in (8, 16, 32, 33):
        few, more = seeded(draw, count), seeded(draw, 40 if count == 33 else 48)
        differing = (few != more[:count]).nonzero().flatten().tolist()
        print(f"{draw.__name__}({count}) against more: {len(differing)} numbers differ{f', first {differing[0]}, last {differing[-1]}' if differing else ''}")
        expected = {8: 8, 16: 0, 32: 0, 33: 14}[count] if draw is torch.randn else 0
        assert len(differing) == expected, (draw.__name__, count, differing)
PYTHON
echo "as described"
