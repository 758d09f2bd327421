"""`hf-kexue`: the package from a terminal."""
