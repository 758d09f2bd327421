"""`python -m hf_kexue`: the same as `hf-kexue`."""

from .cli.main import main

if __name__ == "__main__":
    main()
