"""gzip of a long text of which most was compressed before: pieces of it are kept, and joined to the same one stream.

A piece is compressed with the text before it as the dictionary that a stream has there anyway, and ends on a whole
byte; so pieces one after the other are what one compression of all would be, a few bytes aside, and any gzip reads it.
Where a piece ends is decided by its own text: a text that is put in between moves no end but those beside it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator

_WINDOW = 2**15  # as far back as a stream of DEFLATE refers (RFC 1951)
_PIECE = 2**15  # bytes on average
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # RFC 1952: DEFLATE, no name and no time, as small as it gets
_END = b"\x03\x00"  # an empty last block
_MOST = 2**12

# By the SHA-256 of a piece and the text before it, which decide its bytes.
_known: dict[bytes, bytes] = {}


def zipped(texts: Iterable[bytes]) -> bytes:
    """One gzip of all `texts`, the same bytes for the same texts.

    >>> import gzip
    >>> gzip.decompress(zipped([b"a", b"b"] * 3))
    b'ababab'
    """
    before, check, size, stream = b"", 0, 0, [_HEAD]
    for piece in _pieces(texts):
        stream.append(_compressed(before, piece))
        before = (before + piece)[-_WINDOW:]
        check, size = zlib.crc32(piece, check), size + len(piece)
    return b"".join([*stream, _END, check.to_bytes(4, "little"), (size % 2**32).to_bytes(4, "little")])


def _pieces(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The texts, joined to pieces: one ends with a text by a chance that grows with its length, the same each time."""
    found: list[bytes] = []
    for text in texts:
        found.append(text)
        if zlib.crc32(text) % _PIECE < len(text):
            yield b"".join(found)
            found = []
    if found:
        yield b"".join(found)


def _compressed(before: bytes, piece: bytes) -> bytes:
    """A piece as DEFLATE that goes on after `before`."""
    digest = hashlib.sha256(b"%d %b%b" % (len(before), before, piece)).digest()
    if digest not in _known:
        if len(_known) >= _MOST:
            _known.clear()
        _known[digest] = _deflated(before, piece)
    return _known[digest]


def _deflated(before: bytes, piece: bytes) -> bytes:
    maker = zlib.compressobj(9, wbits=-15, zdict=before) if before else zlib.compressobj(9, wbits=-15)
    return maker.compress(piece) + maker.flush(zlib.Z_SYNC_FLUSH)
