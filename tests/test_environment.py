"""The environment that the suite runs in."""

import importlib.util
import sys


def test_python():
    assert sys.version_info >= (3, 11), "hf_kexue needs Python 3.11 or newer."


def test_torchvision_is_absent():
    assert importlib.util.find_spec("torchvision") is None, (
        "torchvision is installed. hf_kexue does not use it, and beside a torch of another build it breaks `import "
        "diffusers` and every image processor of transformers, which only look whether it is there: pip uninstall "
        "torchvision."
    )
