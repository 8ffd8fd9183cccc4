"""A Merkle tree over the ledger's entries: one root for many, and a short path that ties one entry to it. PURE.

In: leaves as hexadecimal SHA-256 digests, in order. Out: a root, and for each leaf its audit path. Leaves and nodes are
hashed with different prefixes, so that neither can pass for the other (RFC 6962, section 2.1).
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Literal, TypedDict

EMPTY: Final = hashlib.sha256(b"").hexdigest()


class Step(TypedDict):
    """One sibling on the way up, and on which side it stands."""

    side: Literal["left", "right"]
    hash: str


def _leaf(entry: str) -> bytes:
    return hashlib.sha256(b"\x00" + bytes.fromhex(entry)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _root(level: Sequence[bytes]) -> bytes:
    """Join a level pairwise until one is left; a lone last one goes up as it is, as the largest power of two splits."""
    nodes = list(level)
    while len(nodes) > 1:
        joined = [_node(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
        nodes = joined + ([nodes[-1]] if len(nodes) % 2 else [])
    return nodes[0]


def root_of(entries: Sequence[str]) -> str:
    """Return the root over the entries' hashes."""
    return _root([_leaf(one) for one in entries]).hex() if entries else EMPTY


def path_of(entries: Sequence[str], index: int) -> list[Step]:
    """Return what ties one entry to the root: its siblings from the bottom up."""
    nodes, at, steps = [_leaf(one) for one in entries], index, list[Step]()
    while len(nodes) > 1:
        sibling = at ^ 1
        if sibling < len(nodes):
            steps.append({"side": "left" if sibling < at else "right", "hash": nodes[sibling].hex()})
        joined = [_node(nodes[i], nodes[i + 1]) for i in range(0, len(nodes) - 1, 2)]
        nodes = joined + ([nodes[-1]] if len(nodes) % 2 else [])
        at //= 2
    return steps


def leads_to(entry: str, path: Sequence[Any], root: str) -> bool:
    """Say whether an entry is under a root, by its path; false for a path that cannot be read."""
    try:
        node = _leaf(entry)
        for step in path:
            other = bytes.fromhex(step["hash"])
            node = _node(other, node) if step["side"] == "left" else _node(node, other)
    except (KeyError, TypeError, ValueError):
        return False
    return node.hex() == root
