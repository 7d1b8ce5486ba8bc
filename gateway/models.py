"""The bodies of requests. They are checked here for their form; the services check what they mean."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

COLLECTION_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"  # the document service checks it
FILTER_KEY = r"^(content_type|document_id|document_name|page|metadata\.[a-z0-9_]{1,64})$"  # the query service does
TEXT_MAX = 8192  # characters of a query or question
Mode = Literal["hybrid", "dense", "sparse"]


class Strict(BaseModel):
    """A body in which a misspelt field is an error, not silence."""

    model_config = ConfigDict(extra="forbid")


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
        description="All must hold. Keys: document_id, document_name, content_type, page, metadata.KEY. "
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


class SearchBody(Strict):
    """A search."""

    query: Query
    top_k: TopK = Field(None, description="how many results; 8 unless said")
    mode: Mode = "hybrid"
    filter: Filter = {}
    rerank: bool = False


class AnswerBody(Strict):
    """A question."""

    question: Query
    top_k: TopK = Field(None, description="how many passages to read; 4 unless said")
    mode: Mode = "hybrid"
    filter: Filter = {}
    rerank: bool = False
    max_tokens: int | None = Field(None, ge=1, le=4096)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**64)
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field([], max_length=8)
    stream: bool = Field(False, description="answer with server-sent events")


class SuggestionsBody(Strict):
    """Asks for questions to ask."""

    count: int | None = Field(None, ge=1, le=10)
    document_id: str | None = None
    answer: Query | None = None


class EmbeddingsBody(Strict):
    """OpenAI's embeddings request."""

    input: str | list[str]
    model: str = ""
    encoding_format: Literal["float", "base64"] = "float"
    user: str = ""
