"""What a tool on this machine presents to the edge of a mesh that it measures or tests."""

from datetime import UTC, datetime, timedelta

from ragmesh.access import Scope
from ragmesh.client import Client
from ragmesh.rpc.auth.scopes import to_messages
from ragmesh.settings import Settings

LIFE = timedelta(days=1)


async def edge_headers(settings: Settings, name: str) -> dict[str, str]:
    """Nothing where the mesh is open; else RAGMESH_API_KEY, or a key that is made for this and ends in a day."""
    if settings.auth == "open":
        return {}
    if key := settings.api_key.get_secret_value():
        return {"X-API-Key": key}
    async with Client(settings) as client:
        made = await client.create_key(name, scopes=to_messages(Scope), expires_at=datetime.now(UTC) + LIFE)
    return {"X-API-Key": made.secret}
