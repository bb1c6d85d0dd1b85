"""The chain that makes the audit tamper-evident: each event's hash contains the hash of the one before.

``h(n) = SHA256(h(n-1) + SHA256(bytes))``; ``h(0) = SHA256(name of the chain)``. Each process writes a chain of its own.
Checkpoints sign how far a chain has come, and are themselves chained across all processes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def genesis(chain: str) -> bytes:
    """Return the hash that a chain begins with."""
    return hashlib.sha256(chain.encode()).digest()


def link(previous: bytes, body: bytes) -> bytes:
    """Return the hash of an event's bytes behind ``previous``."""
    return hashlib.sha256(previous + hashlib.sha256(body).digest()).digest()


def key_id(public: bytes) -> str:
    """Return the name of a public key (32 bytes): the beginning of its hash."""
    return hashlib.sha256(public).hexdigest()[:16]


class Signer:
    """Signs checkpoints with an Ed25519 key (32 bytes)."""

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        #: The public key, 32 bytes: what an auditor verifies with.
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    def sign(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint with this key's name and signature."""
        named = replace(checkpoint, key=self.key_id)
        return replace(named, signature=self._key.sign(named.signed_bytes()).hex())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a chain had come: event ``sequence`` with the hash ``root`` (hex) at ``time`` (ISO 8601).

    ``number`` counts the checkpoints of the database from 1 on, ``previous`` is the digest (hex) of the one before, ""
    for the first. ``key`` and ``signature`` (hex) are the signer's.
    """

    number: int
    chain: str
    sequence: int
    root: str
    time: str
    previous: str
    key: str = ""
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """Return what is signed."""
        values = asdict(self)
        del values["signature"]
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    def digest(self) -> str:
        """Return the hash of the whole checkpoint, hex."""
        return hashlib.sha256(self.signed_bytes() + bytes.fromhex(self.signature)).hexdigest()

    def line(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Checkpoint:
        """Return a checkpoint from its values; raises TypeError if they are none."""
        return cls(**values)


def verified_checkpoints(
    stored: Iterable[Checkpoint], outside: Iterable[Checkpoint], public_keys: Iterable[bytes]
) -> Iterator[str]:
    """Yield what is wrong with the checkpoints, in sentences; ``outside`` are the copies kept elsewhere."""
    keys = {key_id(public): Ed25519PublicKey.from_public_bytes(public) for public in public_keys}
    found: dict[int, Checkpoint] = {}
    previous = ""
    expected = 1
    for checkpoint in stored:
        if checkpoint.number != expected:
            yield f"Checkpoints {expected} to {checkpoint.number - 1} are missing."
        elif checkpoint.previous != previous:
            yield f"Checkpoint {checkpoint.number} does not follow the one before: it was edited or exchanged."
        fault = _signature_fault(checkpoint, keys)
        if fault:
            yield fault
        found[checkpoint.number] = checkpoint
        previous, expected = checkpoint.digest(), checkpoint.number + 1
    for copy in outside:
        fault = _signature_fault(copy, keys)
        if fault:
            yield f"In the file: {fault}"
        elif copy.number not in found:
            yield (
                f"Checkpoint {copy.number} is in the file and not in the database: the audit was truncated, or the "
                "database restored from an old backup."
            )
        elif found[copy.number] != copy:
            yield f"Checkpoint {copy.number} is another one in the database than in the file."


def _signature_fault(checkpoint: Checkpoint, keys: Mapping[str, Ed25519PublicKey]) -> str:
    key = keys.get(checkpoint.key)
    if key is None:
        return f"Checkpoint {checkpoint.number} is signed with the unknown key {checkpoint.key}."
    try:
        key.verify(bytes.fromhex(checkpoint.signature), checkpoint.signed_bytes())
    except (InvalidSignature, ValueError):
        return f"Checkpoint {checkpoint.number} has a wrong signature."
    return ""


@dataclass(slots=True)
class _Reached:
    sequence: int
    root: bytes


class ChainVerifier:
    """Follows all chains through their events, which come in the order of each chain."""

    def __init__(self, checkpoints: Iterable[Checkpoint]) -> None:
        self._marks = {(one.chain, one.sequence): one for one in checkpoints}
        self._reached: dict[str, _Reached] = {}
        #: Events that were looked at.
        self.count = 0

    def add(self, chain: str, sequence: int, root: bytes, body: bytes, id_in_body: str) -> Iterator[str]:
        """Yield what is wrong at an event, in sentences that name the chain and the position in it."""
        self.count += 1
        state = self._reached.setdefault(chain, _Reached(0, genesis(chain)))
        place = f"{chain} position {sequence}"
        if sequence != state.sequence + 1:
            first, last = state.sequence + 1, sequence - 1
            yield f"{chain} position {first}: deleted ({last - first + 1} missing, up to position {last})."
        elif link(state.root, body) != root:
            yield (
                f"{place}: {'edited' if id_in_body.endswith(f'-{sequence:010d}') else 'reordered'}; the event is not "
                "the one that was written here."
            )
        mark = self._marks.get((chain, sequence))
        if mark is not None and mark.root != root.hex():
            yield f"{place}: rewritten; the hash is not the one of checkpoint {mark.number}."
        state.sequence, state.root = sequence, root

    def end(self) -> Iterator[str]:
        """Yield which chains are shorter than their checkpoints say."""
        longest: dict[str, Checkpoint] = {}
        for (chain, sequence), mark in self._marks.items():
            if chain not in longest or longest[chain].sequence < sequence:
                longest[chain] = mark
        for chain, mark in longest.items():
            reached = self._reached.get(chain)
            last = reached.sequence if reached is not None else 0
            if last < mark.sequence:
                yield (
                    f"{chain} position {last + 1}: truncated; checkpoint {mark.number} knows "
                    f"{mark.sequence} events of this chain."
                )
