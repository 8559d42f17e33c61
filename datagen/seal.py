"""A seal against alteration: the file holds the hash of its own bytes."""

import hashlib

__all__ = ["BLANK", "is_whole", "seal"]

BLANK = "0" * 64  # what stands in the file in place of its hash while that is taken


def seal(content: bytes) -> bytes:
    """The content with its own SHA-256 in place of the one `BLANK` in it."""
    assert content.count(BLANK.encode()) == 1
    return content.replace(BLANK.encode(), hashlib.sha256(content).hexdigest().encode())


def is_whole(content: bytes, digest: str) -> bool:
    """Whether sealed content is as it was when it was sealed with this SHA-256."""
    blanked = content.replace(digest.encode(), BLANK.encode(), 1)
    return hashlib.sha256(blanked).hexdigest() == digest
