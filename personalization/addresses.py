"""Where a message may be sent: an address that anybody on the internet may use, and nothing inside of this house. PURE.

In: a URL as somebody typed it, and the addresses that its name stands for. Out: a `Target`, or `Refused` with a
sentence. Only the address itself is judged, never how it was spelled: whatever `0x7f.1`, `2130706433` or a name under
somebody else's control resolves to is looked up in the tables of special addresses (IANA, RFC 6890). Addresses that
carry another one inside (IPv4-mapped, 6to4, Teredo, NAT64) are refused whatever they carry.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_INVISIBLE: Final = re.compile(r"[\s\x00-\x20\x7f\\]")  # spaces, control characters, backslashes
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9_.-]*[a-z0-9])?\.?")

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
            "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_PUBLIC_6: Final = IPv6Network(
    "2000::/3"
)  # everything outside is special: loopback, mapped, NAT64, local, multicast
_NOT_PUBLIC_6: Final = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
_HOME: Final = tuple(map(IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_HOME_6: Final = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))


class Refused(Exception):
    """A URL that is never called: `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be called. `allow_private` opens loopback and private networks, any port, and http: for one's own machine."""

    allow_private: bool = False
    ports: frozenset[int] = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: the name to ask for, and what to ask it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


def target_of(url: str, *, policy: Policy) -> Target:
    """Take a URL apart; raises Refused."""
    if _INVISIBLE.search(url):
        raise Refused("The address contains a character that no address may contain.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("This is not an address.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise Refused("The address has to begin with https:// and a host.")
    if parts.scheme == "http" and not policy.allow_private:
        raise Refused("The address has to begin with https://, so that nobody on the way can read along.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The address contains a user name or a password: the signature proves who calls.")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port not in policy.ports and not policy.allow_private:
        raise Refused(f"Port {port} is not among the ports that may be called.")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if not path.isascii():
        raise Refused("Spell the path in ASCII: other characters as %XX.")
    return Target(parts.scheme, _host(parts.hostname), port, path)


def _host(host: str) -> str:
    """Return the name as it is asked for: an IPv6 address, or a name in its ASCII form."""
    if ":" in host:
        if "%" in host:
            raise Refused("An address with a zone is local to one machine.")
        return host
    try:
        name = host.encode("idna").decode().lower()
    except UnicodeError:
        raise Refused("The host's name is not a name.") from None
    if not _NAME.fullmatch(name):
        raise Refused("The host's name is not a name.")
    return name


def checked(addresses: Iterable[str], *, policy: Policy) -> list[str]:
    """Return the addresses when every one of them may be called; raises Refused when one may not, or there is none."""
    found = list(dict.fromkeys(addresses))
    if not found:
        raise Refused("The host has no address.")
    for one in found:
        if not is_callable(one, policy=policy):
            raise Refused(f"The host stands for {one}, which is not a public address.")
    return found


def is_callable(address: str, *, policy: Policy) -> bool:
    """Say whether an address may be called."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return is_public(parsed) or (policy.allow_private and _is_home(parsed))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address is one of the open internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id or address not in _PUBLIC_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def _is_home(address: IPv4Address | IPv6Address) -> bool:
    """Say whether it is loopback or a private network; never link-local, where clouds keep their secrets."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in _HOME)
    return any(address in network for network in _HOME_6)
