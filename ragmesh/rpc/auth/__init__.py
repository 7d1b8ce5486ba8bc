"""Who calls, and whether they may: service tokens inside the mesh, keys and tokens of an issuer outside."""
