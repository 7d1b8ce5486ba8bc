"""The admin service: health, statistics, configuration and models of the mesh."""
