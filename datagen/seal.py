"""Checksum of a file inside of the file itself."""

import hashlib

__all__ = ["BLANK", "is_whole", "seal"]

BLANK = "0" * 64  # placeholder for the hash while it is computed


def seal(content: bytes) -> bytes:
    """Replace the only `BLANK` in a content by the SHA-256 of the content."""
    assert content.count(BLANK.encode()) == 1
    return content.replace(BLANK.encode(), hashlib.sha256(content).hexdigest().encode())


def is_whole(content: bytes, digest: str) -> bool:
    """Return whether content is unchanged since `seal` wrote this SHA-256 into it."""
    blanked = content.replace(digest.encode(), BLANK.encode(), 1)
    return hashlib.sha256(blanked).hexdigest() == digest
