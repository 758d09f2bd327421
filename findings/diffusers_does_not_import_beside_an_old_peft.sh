#!/usr/bin/env bash
# diffusers and peft: an old peft that nobody asked for stops every model of diffusers from being imported.
#
# Guess: peft is optional; one that is too old for the other libraries makes LoRA unavailable, with a warning at most.
# Seen:  diffusers 0.38.0 with transformers 5.17.0: without peft `from diffusers import UNet2DModel` works. With peft
#        0.17.1, whose metadata takes any transformers, it raises RuntimeError, "cannot import name 'HybridCache'":
#        diffusers asks for peft's version and not whether it can be imported, and UNet2DModel, which has no adapters,
#        comes with the module that does. pip sees no conflict. With peft 0.18.0 it works.
# Use:   "peft>=0.18" beside transformers 5, also where LoRA is not used; or no peft at all.
#
# Ends with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
python="$folder/env/bin/python"
"$python" -m pip install -q --disable-pip-version-check ${TORCH:-torch==2.13.0} transformers==5.17.0 diffusers==0.38.0 \
    numpy==2.4.6
seen=""
for peft in none 0.17.1 0.18.0; do
    [ "$peft" = none ] || "$python" -m pip install -q --disable-pip-version-check "peft==$peft"
    "$python" -m pip check > /dev/null || { echo "pip sees a conflict"; exit 1; }
    if "$python" -W ignore -c "from diffusers import UNet2DModel" 2> "$folder/errors"; then
        seen="$seen $peft:imported"
    else
        seen="$seen $peft:$(grep -q "cannot import name 'HybridCache'" "$folder/errors" && echo HybridCache)"
    fi
done
"$python" -W ignore -c "import diffusers, transformers; print('diffusers', diffusers.__version__, 'transformers', transformers.__version__)"
echo "peft$seen"
[ "$seen" = " none:imported 0.17.1:HybridCache 0.18.0:imported" ]
echo "as described"
