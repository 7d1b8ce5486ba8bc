"""Triton's model repositories, as templates: the build adds the weights."""
