#!/usr/bin/env bash
# geomstats: with PyTorch as its backend the curvature of a metric lacks the second derivatives of the metric.
#
# Guess: backends differ in speed; the scalar curvature of a torus is 2 cos v / (2 + cos v) with either.
# Seen:  geomstats 2.8.0, v = 2: the autograd backend gives -0.5255, which is right, PyTorch 2.13 gives 0.6592: another
#        sign. Christoffel symbols agree. The Jacobian of the symbols is taken through the Jacobian of the metric, whose
#        graph is not kept: the inner one counts as a constant, without an error or a warning.
# Use:   GEOMSTATS_BACKEND=autograd for what needs curvature (and a NumPy before 2.4: the package imports numpy.trapz).
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check ${TORCH:-torch==2.13.0} geomstats==2.8.0 \
    autograd==1.8.0 numpy==2.0.0 scipy==1.15.3
cat > "$folder/torus.py" <<'PYTHON'
import json
from importlib.metadata import version

import geomstats.backend as gs
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.riemannian_metric import RiemannianMetric


class Torus(RiemannianMetric):
    """Radii 2 and 1, in the angles (u, v)."""

    def metric_matrix(self, base_point=None):
        ring = (2 + gs.cos(base_point[..., 1])) ** 2
        rows = [[ring, 0 * ring], [0 * ring, 1 + 0 * ring]]
        return gs.stack([gs.stack(row, axis=-1) for row in rows], axis=-2)


plane = Euclidean(2, equip=False)
plane.equip_with_metric(Torus)
point = gs.array([0.3, 2.0])
symbols, scalar = plane.metric.christoffels(point), plane.metric.scalar_curvature(point)
print(json.dumps([version("geomstats"), float(symbols[0, 0, 1]), float(scalar)]))
PYTHON
for backend in autograd pytorch; do
    GEOMSTATS_BACKEND=$backend "$folder/env/bin/python" -W ignore "$folder/torus.py" | tail -n 1 > "$folder/$backend.json"
done
"$folder/env/bin/python" - "$folder" <<'PYTHON'
import json
import math
import sys
from pathlib import Path

exact = 2 * math.cos(2) / (2 + math.cos(2))
seen = {name: json.loads((Path(sys.argv[1]) / f"{name}.json").read_text()) for name in ("autograd", "pytorch")}
for name, (version, symbol, scalar) in seen.items():
    print(f"geomstats {version}, {name}: Gamma^0_01 {symbol:.4f}, scalar curvature {scalar:.4f}, exact {exact:.4f}")
assert abs(seen["autograd"][2] - exact) < 1e-6
assert abs(seen["pytorch"][1] - seen["autograd"][1]) < 1e-6
assert abs(seen["pytorch"][2] - 0.6592) < 1e-3
PYTHON
echo "as described"
