"""The ledger: what the mesh has acknowledged, held against what it shows.

Every document is written by the harness around a word of its own, its marker, so that a passage tells whose it is
whatever id it carries. Times are of one monotonic clock.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from string import ascii_lowercase

MARKER = re.compile(r"\bmark[a-z]{8}\b")
LINE = re.compile(r"\bline(\d{3})\b")


class Wrong(StrEnum):
    """A broken promise."""

    LOST = "lost"  # acknowledged, and gone, FAILED or not found
    ZOMBIE = "deleted and retrieved"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign text"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Violation:
    """What was seen that may not be."""

    wrong: Wrong
    detail: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search or an answer showed."""

    document_id: str
    chunk_id: str
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A document as the mesh tells of it."""

    id: str
    name: str
    state: str
    generation: int
    chunk_count: int
    reason: str = ""  # why it failed


@dataclass(slots=True)
class Record:
    """A document of the harness, and what the mesh has acknowledged of it."""

    tenant: str
    collection: str
    marker: str
    lines: int
    id: str = ""  # set by the acknowledgement
    is_certain: bool = False  # acknowledged at the first try: no other upload of it can be on its way
    is_ready: bool = False  # has been seen READY
    is_deleting: bool = False  # a delete was sent
    deleted_at: float | None = None  # when it was acknowledged
    reprocessed: int = 0

    @property
    def name(self) -> str:
        return f"{self.marker}.txt"

    @property
    def text(self) -> str:
        return "\n".join(
            f"{self.marker} line{number:03}: locker {number} of {self.marker} holds a silver key, a brass lamp"
            " and a folded map of the harbour."
            for number in range(self.lines)
        )


@dataclass(slots=True)
class Ledger:
    """Takes down what is acknowledged and judges what is shown. It forgets nothing."""

    records: list[Record] = field(default_factory=list[Record])
    violations: list[Violation] = field(default_factory=list[Violation])
    _by_marker: dict[str, Record] = field(default_factory=dict[str, Record])

    def plan(self, tenant: str, collection: str, *, lines: int = 1) -> Record:
        """A new document, not yet uploaded."""
        marker = "mark" + "".join(random.choices(ascii_lowercase, k=8))  # noqa: S311 no secret
        record = Record(tenant, collection, marker, lines)
        self.records.append(record)
        self._by_marker[marker] = record
        return record

    def accepted(self, record: Record, document_id: str, *, is_certain: bool) -> None:
        """An upload was acknowledged. Equal uploads must come to one document."""
        if record.id and record.id != document_id:
            self._note(Wrong.DUPLICATE, f"{record.name} was accepted as {record.id} and as {document_id}")
        record.id = record.id or document_id
        record.is_certain = is_certain

    def kept(self) -> Iterable[Record]:
        """What was accepted and must be there."""
        return (record for record in self.records if record.id and not record.is_deleting)

    def deleted(self) -> Iterable[Record]:
        """What was deleted, acknowledged, and must be gone."""
        return (record for record in self.records if record.deleted_at is not None)

    def retrieved(
        self, tenant: str, collection: str, hits: Sequence[Hit], *, began: float, of: Record | None = None
    ) -> None:
        """Judges what a search showed that began then; `of` is a document that it must show."""
        for hit in hits:
            self._judge(tenant, collection, hit, began)
        places = Counter((hit.document_id, hit.start) for hit in hits)
        for (document_id, start), count in places.items():
            if count > 1:
                self._note(Wrong.DUPLICATE, f"{count} passages of {document_id} at {start} in one search")
        if of and not of.is_deleting and of.id not in {hit.document_id for hit in hits}:
            self._note(Wrong.LOST, f"{of.id} ({of.name}) has been READY, and a search does not find it")

    def settled(self, tenant: str, collection: str, listed: Sequence[Seen]) -> None:
        """Judges the complete list of a collection, at the end."""
        by_id = {seen.id: seen for seen in listed}
        mine = [record for record in self.records if (record.tenant, record.collection) == (tenant, collection)]
        for record in mine:
            if record.deleted_at is not None and record.id in by_id:
                self._note(Wrong.ZOMBIE, f"{record.id} was deleted, and is listed")
            if record.id and not record.is_deleting:
                self._judge_kept(record, by_id.get(record.id))
        names = {record.name for record in mine}
        counts = Counter(seen.name for seen in listed)
        for name, count in counts.items():
            if name not in names:
                self._note(Wrong.FOREIGN, f"{name} is listed for {tenant} in {collection}")
            if count > 1:
                self._note(Wrong.DUPLICATE, f"{name} is kept {count} times")

    def read_whole(self, record: Record, hits: Sequence[Hit], *, chunk_count: int) -> None:
        """Judges all passages of one document: each line is there, and no chunk more than it has."""
        if len(hits) != chunk_count:
            wrong = Wrong.DUPLICATE if len(hits) > chunk_count else Wrong.LOST
            self._note(wrong, f"{record.id} has {chunk_count} chunks, and {len(hits)} are found")
        found = {int(number) for hit in hits for number in LINE.findall(hit.text)}
        if missing := set(range(record.lines)) - found:
            self._note(Wrong.LOST, f"{record.id} lacks lines {sorted(missing)}")

    def found_after_delete(self, record: Record) -> None:
        """A deleted document was still there when it was asked for by its id."""
        self._note(Wrong.ZOMBIE, f"{record.id} was deleted, and can be read")

    def count(self) -> Counter[Wrong]:
        """How many violations of each kind."""
        return Counter(violation.wrong for violation in self.violations)

    def _judge(self, tenant: str, collection: str, hit: Hit, began: float) -> None:
        markers = set(MARKER.findall(hit.text))
        record = self._by_marker.get(markers.pop()) if len(markers) == 1 else None
        if record is None or (record.tenant, record.collection) != (tenant, collection):
            self._note(Wrong.FOREIGN, f"{tenant} was shown in {collection}: {hit.text[:80]!r}")
            return
        if record.deleted_at is not None and record.deleted_at < began:
            late = began - record.deleted_at
            self._note(Wrong.ZOMBIE, f"{hit.chunk_id} was shown to a search {late:.3f} s after its deletion")
        if record.id and record.id != hit.document_id:
            self._note(Wrong.DUPLICATE, f"{record.name} is {record.id}, and was shown as {hit.document_id}")

    def _judge_kept(self, record: Record, seen: Seen | None) -> None:
        if seen is None:
            self._note(Wrong.LOST, f"{record.id} ({record.name}) was accepted, and is not listed")
        elif seen.state == "FAILED":
            self._note(Wrong.LOST, f"{record.id} was accepted, and is FAILED: {seen.reason}")
        elif seen.state != "READY":
            self._note(Wrong.STUCK, f"{record.id} is {seen.state} still")

    def _note(self, wrong: Wrong, detail: str) -> None:
        self.violations.append(Violation(wrong, detail))
