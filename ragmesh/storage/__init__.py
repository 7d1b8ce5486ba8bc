"""Where things are kept: a port for each kind of store, and its adapters."""
