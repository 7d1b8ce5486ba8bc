"""The query service: search, answers with citations, suggested questions, vectors."""
