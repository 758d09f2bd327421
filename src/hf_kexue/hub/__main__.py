"""`python -m hf_kexue.hub FOLDER...`: bring the code in exported repositories up to that of this package."""

import sys

from .repository import refresh_code

if __name__ == "__main__":
    for path in [path for name in sys.argv[1:] for path in refresh_code(name)]:
        print(path)
