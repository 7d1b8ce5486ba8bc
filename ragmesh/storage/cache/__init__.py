"""Values kept for a while: a port, and its adapters over this process's memory and over Redis."""
