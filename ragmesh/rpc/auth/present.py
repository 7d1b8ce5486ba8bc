"""How the SDK tells who calls."""

from ragmesh.access import Identity
from ragmesh.rpc.context import Metadata, Present, by_name
from ragmesh.settings import Settings


def present_of(settings: Settings) -> Present:
    """By the API key if there is one; by the mesh's secret for who holds that; else by the tenant's bare name."""
    if key := settings.api_key.get_secret_value():
        return by_key(key)
    if settings.auth == "required" and settings.service_secret.get_secret_value():
        from ragmesh.rpc.auth.tokens import Signer  # noqa: PLC0415 only who runs a mesh needs it

        return Signer.of(settings).present
    return by_name


def by_key(key: str) -> Present:
    """Presents an API key, which names the tenant itself."""
    metadata = "authorization", f"Bearer {key}"

    def present(_: Identity) -> Metadata:
        return metadata

    return present
