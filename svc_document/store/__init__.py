"""The SQL side of the document service: one class for each of its ports, over `ragmesh.storage.database`."""
