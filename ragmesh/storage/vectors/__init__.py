"""The vector store: a port, and Milvus behind it."""
