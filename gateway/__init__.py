"""The edge: HTTP and SSE outside, gRPC inside."""
