"""Weights out of installed packages, as models that Triton's Python backend can run."""
