#!/usr/bin/env bash
# scipy: pbdv of order -1/2 drops to 0 beyond x = 40 while its true value is 1e-221, and hyperu keeps seven digits there.
#
# The integral of exp(-a x^2 - b x^4) over the line is a parabolic cylinder function of order -1/2 and, another way, a
# confluent hypergeometric function U; both are candidates for its closed form.
# Guess: doubles hold 1e-221, and the order +1/2 is computed there, so pbdv(-0.5, 45) is right to 1e-10 or so; hyperu
#        of moderate arguments is right to 1e-12.
# Seen:  scipy 1.17.1 gives pbdv(-0.5, x) = 0 for x = 45, 50, 52 without a warning; pbdv(0.5, x) is right to 1e-13 at
#        the same places. hyperu(1.3, 0.7, x) is wrong by 2e-7 from x = 12 to 26 and by 1e-10 at 28.
# Use:   the scaled Bessel function: D_{-1/2}(x) = sqrt(x / (2 pi)) K_{1/4}(x^2 / 4), and kve for its logarithm.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q --disable-pip-version-check scipy==1.17.1 numpy==2.4.6 mpmath==1.3.0
"$folder/env/bin/python" -W ignore - <<'PYTHON'
import math

import mpmath
import scipy
from scipy.special import hyperu, kve, pbdv

mpmath.mp.dps = 40
print("scipy", scipy.__version__)
for x in (30, 40, 45, 50, 52):
    truth = float(mpmath.pcfd(-0.5, x))
    seen, neighbour = pbdv(-0.5, x)[0], pbdv(0.5, x)[0]
    print(f"pbdv(-0.5, {x}) = {seen:.6e}, mpmath {truth:.6e}")
    assert abs(neighbour / float(mpmath.pcfd(0.5, x)) - 1) < 1e-12
    assert seen == 0.0 if x > 40 else abs(seen / truth - 1) < 1e-12
    logarithm = math.log(math.sqrt(x / (2 * math.pi)) * kve(0.25, x * x / 4)) - x * x / 4
    assert abs(logarithm - math.log(truth)) < 1e-9
for x, low, high in ((8, 0, 1e-9), (12, 1e-7, 1e-6), (20, 1e-7, 1e-6), (26, 1e-7, 1e-6), (28, 1e-11, 1e-9)):
    error = abs(hyperu(1.3, 0.7, x) / float(mpmath.hyperu(1.3, 0.7, x)) - 1)
    print(f"hyperu(1.3, 0.7, {x}): relative error {error:.1e}")
    assert low <= error < high, (x, error)
PYTHON
echo "as described"
