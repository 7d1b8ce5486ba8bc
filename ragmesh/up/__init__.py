"""`ragmesh up`: the whole mesh on one machine, each part a process of its own that is restarted when it dies."""
