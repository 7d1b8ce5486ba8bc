"""The routes that speak as OpenAI's API does."""
