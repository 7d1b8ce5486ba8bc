"""A gRPC-first service mesh that answers questions over a team's own documents."""
