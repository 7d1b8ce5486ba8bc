"""The model repository for GPUs, as templates: validated here, not run here. README.md tells what is what."""
