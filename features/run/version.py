"""The toolkit's version, written once in pyproject.toml."""

from importlib.metadata import version

VERSION = version("pneumothorax-reasons")
