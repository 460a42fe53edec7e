"""Who sent it, as a keyed hash that says nothing without the key; and the tokens that delete.

Addresses are few enough to try them all, so a plain hash would hide none. Tokens are not stored: they are made from the
id and the secret again, so that a repeated request gets the same one, and a copy of the database deletes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence


class Privacy:
    """Hashes and tokens under one secret."""

    def __init__(self, secret: str) -> None:
        # A key for each purpose: a hash of one kind is never a token of the other.
        self._client, self._token = (
            hmac.digest(secret.encode(), purpose, "sha256") for purpose in (b"client", b"deletion")
        )

    def client(self, address: str) -> str:
        """32 characters that stand for the client of this address; of IPv6 its network of 64 bits counts."""
        return hmac.new(self._client, network(address).encode(), hashlib.sha256).hexdigest()[:32]

    def token(self, feedback_id: str) -> str:
        """What deletes this feedback, 43 characters."""
        digest = hmac.digest(self._token, feedback_id.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def may_delete(self, feedback_id: str, token: str) -> bool:
        """Whether the token is this feedback's; the time it takes says nothing of how much of it was right."""
        return same(self.token(feedback_id), token)


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (one, other))
    return hmac.compare_digest(*digests)


def network(address: str) -> str:
    """The address, or of IPv6 the network of 64 bits that one customer has all of; other text as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def address_of(peer: str, forwarded: Sequence[str], hops: int) -> str:
    """The client's address behind so many proxies of one's own.

    Args:
        peer: who is connected.
        forwarded: the values of X-Forwarded-For. Each proxy adds the address that it was called from at the end;
            whatever stands before those, the client may have written itself.
    """
    if not hops:
        return peer
    chain = [part.strip() for value in forwarded for part in value.split(",") if part.strip()]
    return chain[-hops] if len(chain) >= hops else peer
