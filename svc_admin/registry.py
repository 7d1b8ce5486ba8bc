"""Models and re-embeddings as messages."""

from collections.abc import Mapping

from ragmesh.errors import InvalidArgument
from ragmesh.inference.golden import Measure, Verdict
from ragmesh.inference.port import ModelId
from ragmesh.inference.triton import ModelStatus
from ragmesh.settings import Settings
from ragmesh.v1 import (
    Measure as MeasureMessage,
)
from ragmesh.v1 import (
    Model,
    ModelRole,
    Reembedding,
    Reindex,
    ReindexState,
    VerifyModelResponse,
)

ROLES = {"embed": ModelRole.EMBED, "llm": ModelRole.LLM, "rerank": ModelRole.RERANK}
NAMES = {role: name for name, role in ROLES.items()}
STATES = {
    "running": ReindexState.RUNNING,
    "verifying": ReindexState.VERIFYING,
    "active": ReindexState.ACTIVE,
    "failed": ReindexState.FAILED,
}


def model_message(status: ModelStatus, settings: Settings) -> Model:
    """A version of the repository, with the share of its role's requests that go to it."""
    model, told = ModelId.parse(status.name), status.parameters
    percent = shares(settings).get(status.name, 0)
    refused = settings.models_refused if settings.models_refused.startswith(f"{status.name}: ") else ""
    return Model(
        name=model.name or status.name,
        version=model.version if model.name else status.version,
        role=ROLES.get(told.get("role", ""), ModelRole.UNSPECIFIED),
        state=status.state,
        reason=status.reason or refused,
        active=percent > 0,
        percent=percent,
        weights=told.get("weights", ""),
        languages=told.get("languages", "").split(),
        successes=status.successes,
        failures=status.failures,
        dims=int(told.get("dims", 0)),
        context_length=int(told.get("context_length") or told.get("max_tokens") or 0),
    )


def shares(settings: Settings) -> Mapping[str, int]:
    """The models that requests go to, with their percent."""
    tried, _, percent = settings.llm_canary.partition(" ")
    trial = {tried: int(percent)} if tried else {}
    whole = {settings.embedding: 100, settings.llm_model: 100 - sum(trial.values()), settings.rerank_model: 100}
    return {name: share for name, share in (whole | trial).items() if name}


def role_named(role: ModelRole) -> str:
    """A role as the settings name it. Raises InvalidArgument."""
    if role not in NAMES:
        raise InvalidArgument(f"there is no role {int(role)}: send EMBED, RERANK or LLM", field="role")
    return NAMES[role]


def verdict_message(verdict: Verdict) -> VerifyModelResponse:
    """How a version did with its golden questions."""
    return VerifyModelResponse(
        passed=verdict.passed, reason=verdict.reason, measures=[_measure(measure) for measure in verdict.measures]
    )


def reindex_message(found: Reembedding) -> Reindex:
    """How far a re-embedding is."""
    model = ModelId.parse(found.model)
    return Reindex(
        id=found.model,
        model=model.name,
        version=model.version,
        chunks_done=found.chunks_done,
        chunks_total=found.chunks_total,
        active=found.state == "active",
        state=STATES.get(found.state, ReindexState.UNSPECIFIED),
        reason=found.reason,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _measure(measure: Measure) -> MeasureMessage:
    return MeasureMessage(name=measure.name, value=measure.value, present=measure.present, limit=measure.limit)
