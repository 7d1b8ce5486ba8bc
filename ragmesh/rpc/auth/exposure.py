"""An open mesh stays on this machine."""

from ipaddress import ip_address

from ragmesh.settings import Settings


class Exposed(ValueError):
    """An address that others can reach, with nobody asked who they are."""


def require_closed(settings: Settings, name: str, host: str) -> None:
    """Raises Exposed where an open server would listen on more than loopback; `name` is the setting's."""
    if settings.auth == "required" or is_loopback(host):
        return
    raise Exposed(
        f"RAGMESH_{name.upper()} is {host or 'every address'!r}, which others can reach, and RAGMESH_AUTH is open: "
        "set RAGMESH_AUTH=required and RAGMESH_SERVICE_SECRET (docs/security.md tells how), or listen on 127.0.0.1"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name may mean any address tomorrow
        return False
