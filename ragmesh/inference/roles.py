"""Which models each role uses, as the settings name them: the one in use first."""

from ragmesh.settings import Settings


def embedding_models(settings: Settings) -> tuple[str, ...]:
    """Those that vectors are kept up of."""
    return _named(settings.embedding, settings.embed_next, *settings.embed_also.split())


def language_models(settings: Settings) -> tuple[str, ...]:
    """The one that answers, and the one that is tried on some answers."""
    return _named(settings.llm_model, settings.llm_canary.partition(" ")[0])


def reranking_models(settings: Settings) -> tuple[str, ...]:
    """Likewise; none where nothing is reranked."""
    return _named(settings.rerank_model)


def models(settings: Settings) -> tuple[str, ...]:
    """All of them."""
    return (*embedding_models(settings), *language_models(settings), *reranking_models(settings))


def _named(*models: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, models)))
