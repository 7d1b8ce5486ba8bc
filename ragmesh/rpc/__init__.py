"""gRPC as ragmesh speaks it: servers that start and drain alike, channels, errors, what a call carries along."""
