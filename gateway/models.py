"""The bodies of requests. They are checked here for their form; the services check what they mean."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from ragmesh.access import Scope

COLLECTION_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"  # the document service checks it
FILTER_KEY = (
    r"^(content_type|document_id|document_name|language|page|metadata\.[a-z0-9_]{1,64})$"  # the query service does
)
TEXT_MAX = 8192  # characters of a query or question
INSTRUCTION_MAX = 2048  # characters of a wish for an answer's manner
Mode = Literal["hybrid", "dense", "sparse"]


class Strict(BaseModel):
    """A body in which a misspelt field, or a text for a number, is an error and not silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


Whole = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]  # what the contract's int64 holds
Value = StrictStr | Whole


class Range(Strict):
    """A closed range of whole numbers; an open side is left out."""

    at_least: Whole | None = None
    at_most: Whole | None = None


class Not(Strict):
    """Anything but this value."""

    not_: Value = Field(alias="not")


class Exists(Strict):
    """Whether a metadata key is there."""

    exists: StrictBool


FilterValue = Value | list[Value] | Not | Exists | Range
FILTER_VALUES = (
    'a text or whole number, a list of them, {"not": …}, {"exists": true}, or {"at_least": …, "at_most": …}'
)
Filter = Annotated[
    dict[str, FilterValue],
    Field(
        max_length=16,
        description="All must hold. Keys: document_id, document_name, content_type, language, page, metadata.KEY. "
        f"A value is {FILTER_VALUES}.",
        json_schema_extra={"propertyNames": {"pattern": FILTER_KEY}},
        examples=[{"metadata.team": "payments", "page": {"at_most": 5}}],
    ),
]
Query = Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
TopK = Annotated[int | None, Field(ge=1, le=100)]


class NewCollection(Strict):
    """A collection to create."""

    name: str = Field(
        description="lower-case letters, digits and dashes, at most 63",
        json_schema_extra={"pattern": COLLECTION_NAME},
    )


class KeyBody(Strict):
    """An API key to make."""

    tenant: str = Field("default", description="lower-case letters, digits and dashes, at most 63")
    name: str = Field("", max_length=128, description="what it is for")
    scopes: list[Scope] = Field([Scope.READ, Scope.WRITE], min_length=1, max_length=3)
    expires_at: AwareDatetime | None = Field(None, description="when it ends by itself; never unless said")
    requests_per_minute: int = Field(0, ge=0, lt=2**32, description="0 for what the mesh allows each caller")
    tokens_per_minute: int = Field(0, ge=0, lt=2**32, description="0 for what the mesh allows each caller")


class SearchBody(Strict):
    """A search."""

    query: Query
    top_k: TopK = Field(None, description="how many results; 8 unless said")
    mode: Mode = "hybrid"
    filter: Filter = {}
    rerank: bool = False


class AnswerOptions(Strict):
    """How an answer is made."""

    top_k: TopK = Field(None, description="how many passages to read; 4 unless said")
    mode: Mode = "hybrid"
    filter: Filter = {}
    rerank: bool = False
    max_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**64)
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field([], max_length=8)
    instruction: str = Field("", max_length=INSTRUCTION_MAX, description="what you want of the answer's manner")
    stream: bool = Field(False, description="answer with server-sent events")


class AnswerBody(AnswerOptions):
    """A question."""

    question: Query


class Said(Strict):
    """A message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class ChatBody(AnswerOptions):
    """A conversation, oldest message first; the last one is what is asked."""

    messages: list[Said] = Field(min_length=1, max_length=257)


class SuggestionsBody(Strict):
    """Asks for questions to ask."""

    count: int | None = Field(None, ge=1, le=10)
    document_id: str | None = None
    answer: Query | None = None


class ReplayBody(Strict):
    """Which dead letters to queue again."""

    document_ids: list[str] = Field([], max_length=1000, description="all of them where none is named")
