"""The articles of kexue.fm as models of the Hugging Face ecosystem."""

__version__ = "0.1.0"
