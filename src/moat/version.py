"""The version, apart from the package, so that a part can name it without importing the rest."""

__version__ = "0.1.0"
