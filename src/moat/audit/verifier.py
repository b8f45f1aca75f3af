"""The verifier of audit logs, without I/O. Of Moat, it uses `proofs`, `content` and `report` alone.

Read them before you trust a log. docs/audit.md has the format, and says what a verified log proves and
what it doesn't. In short: an `Entry` is a line of canonical JSON (RFC 8785), and

- its `content` is the SHA-256 of what it is about, which stands behind a tab, or is left out (redacted),
- its `prev` is the RFC 9162 leaf hash of the entry before it: the chain,
- all leaf hashes are a Merkle tree (RFC 9162 2.1), whose root a checkpoint signs with Ed25519,
  as a C2SP signed note (c2sp.org/signed-note, c2sp.org/tlog-checkpoint),
- a file is proven by an entry whose content commits to its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from moat.audit.content import read_content, utf8
from moat.audit.proofs import (
    Checkpoint,
    Frontier,
    Witness,
    cosigned_at,
    fingerprint,
    from_base64,
    leaf_hash,
    read_checkpoint,
    root_of_inclusion,
    signer_of,
    time_of,
)
from moat.audit.report import Problem, Report, Seen, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

FORMAT: Final = b"moat-audit-bundle/1"
"""The first line of a log and of a bundle."""
CREATED: Final = "run_created"
CLOSED: Final = "log_closed"
SIGNING_KEY: Final = "signing_key"
NO_ENTRY: Final = "0" * 64
"""The `prev` of the first entry."""
MAX_PROBLEMS: Final = 50
"""Problems, and remarks, that are reported: one change may break much of what follows."""
MAX_KEYS: Final = 100
"""Keys of a bundle. Each checkpoint is looked at for each of them."""

# Its keys are in order, and none of its strings needs an escape: what matches is canonical.
_ENTRY: Final = re.compile(
    rb'\{"content":"([0-9a-f]{64})","kind":"([a-z][a-z0-9_]*)","prev":"([0-9a-f]{64})",'
    rb'"run":"([0-9a-f]{12})","seq":(0|[1-9][0-9]{0,14}),'
    rb'"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","v":1\}'
)
_PROOF: Final = re.compile(b"-|[0-9a-f]{64}(?:,[0-9a-f]{64})*")


class Verifier:
    """Takes the lines of a bundle, or of a log, one after the other."""

    def __init__(
        self,
        trusted: Collection[bytes] = (),
        revoked: Collection[bytes] = (),
        held: Sequence[str] = (),
        witnesses: Collection[Witness] = (),
        *,
        must_be_seen: bool = False,
    ) -> None:
        """Make one for a log.

        `trusted`: public keys that are known from elsewhere; `revoked`: keys that must not have signed;
        `held`: checkpoints of this run that were kept elsewhere; `witnesses`: those whose word counts,
        and of which `must_be_seen` demands each. Raises `UnreadableError`.
        """
        self._trusted, self._revoked = trusted, revoked
        self._held = _held(held)
        self._witnesses, self._must_be_seen = witnesses, must_be_seen
        self._seen: dict[Witness, Seen] = {}
        self._report = Report()
        self._tree = Frontier()
        self._prev = NO_ENTRY
        self._seq = 0
        self._named: set[str] = set()
        """Keys that entries name, in hexadecimal."""
        self._keys: dict[bytes, None] = {}
        self._commits: dict[str, str] = {}
        """Hashes of files in entries that a checkpoint covers."""
        self._unsigned: list[tuple[dict[str, str], list[str]]] = []
        """The same of later entries, one by one, and the names that don't count any more."""
        self._files: dict[str, str] = {}
        self._file: tuple[str, Any] | None = None
        self._last_kind = b""
        self._newest: Checkpoint | None = None
        """The checkpoint of a bundle of single entries."""
        self._lines = 0
        self._ended = False

    def feed(self, line: bytes) -> None:
        """Take a line without its newline. Raises `UnreadableError` if there is no log at all."""
        self._lines += 1
        if self._lines == 1:
            if line != FORMAT:
                raise UnreadableError("it is no audit log, or one of a later version of Moat")
        elif self._ended:
            self._problem("format", "something follows the end")
        elif line.startswith(b"entry "):
            self._entry(line[6:])
        else:
            word, _, rest = line.partition(b" ")
            self._other(word, rest)

    def _other(self, word: bytes, rest: bytes) -> None:
        try:
            match word:
                case b"run" if self._lines == 2 and re.fullmatch(b"[0-9a-f]{12}", rest):
                    self._report.run = rest.decode()
                case b"key" if self._file is None and len(self._keys) < MAX_KEYS:
                    self._keys[_key(rest)] = None
                case b"checkpoint" if self._file is None and self._newest is None:
                    self._checkpoint(read_checkpoint(utf8(from_base64(rest))))
                case b"proved" if self._file is None:
                    proof, _, line = rest.partition(b" ")
                    self._proved(proof, line)
                case b"file":
                    self._end_file()
                    name = utf8(rest)
                    if name in self._files:
                        raise ValueError("there is a file of that name already")
                    self._file = name, hashlib.sha256()
                case b"data" if self._file is not None:
                    self._file[1].update(from_base64(rest))
                case b"end" if rest == b"%d" % self._lines:
                    self._ended = True
                case _:
                    raise ValueError("no such record may stand here")
        except ValueError as exc:
            self._problem("format", f"line {self._lines}: {exc}")

    # --- entries ---

    def _entry(self, line: bytes) -> None:
        entry, _, private = line.partition(b"\t")
        match = _ENTRY.fullmatch(entry)
        if match is None:
            self._problem("format", f"line {self._lines} is no entry in canonical form")
            return
        if self._newest is not None or self._file is not None:
            self._problem("format", f"line {self._lines}: no entry may stand behind what it proves")
            return
        content, kind, prev, run, number, time = match.groups()
        report, seq = self._report, int(number)
        if seq != self._seq:
            self._out_of_order(seq)
        elif prev.decode() != self._prev:
            self._problem("chain", f"entry {seq} does not follow on the entry before it")
        if run.decode() != report.run:
            self._problem("run", f"entry {seq} is of another run: {run.decode()}")
        leaf = hashlib.sha256(b"\0" + entry).digest()
        self._tree.append(leaf)
        self._prev = leaf.hex()
        self._seq = seq + 1
        self._last_kind = kind
        moment = time.decode()
        if moment < report.last_time:
            self._remark(f"the clock went back at entry {seq}: from {report.last_time} to {moment}")
        elif not report.first_time:
            report.first_time = moment
        report.last_time = moment
        if seq == 0 and kind.decode() != CREATED:
            self._problem("missing", "the log does not begin with the creation of the run")
        self._content(seq, kind, content, private)
        held = self._held.pop(self._tree.size, None)
        if held is not None:
            self._compare(self._tree.size, held, self._tree.root())

    def _content(self, seq: int, kind: bytes, content: bytes, private: bytes) -> None:
        if not private:
            self._report.redacted += 1
            return
        if hashlib.sha256(private).hexdigest() != content.decode():
            self._problem("content", f"the content of entry {seq} was changed")
        elif b'"commits":{' in private or kind.decode() == SIGNING_KEY:
            try:
                found = read_content(private)
                self._unsigned.append((found.commits, found.void))
                if kind.decode() == SIGNING_KEY:
                    self._named.add(found.named_key())
            except (ValueError, RecursionError):
                self._problem("format", f"the content of entry {seq} is none that Moat writes")

    def _sign_commits(self) -> None:
        """Count what the entries so far commit to: only what is signed proves a file."""
        for commits, void in self._unsigned:
            self._commits |= commits
            for name in void:
                self._commits.pop(name, None)
        self._unsigned.clear()

    def _out_of_order(self, seq: int) -> None:
        if seq > self._seq:
            gone = f"{self._seq}" if seq == self._seq + 1 else f"{self._seq} to {seq - 1}"
            self._problem("missing", f"before entry {seq}, there is no entry {gone}")
        else:
            self._problem(
                "order", f"entry {seq} stands where {self._seq} should: moved or repeated"
            )

    # --- checkpoints ---

    def _checkpoint(self, found: Checkpoint) -> None:
        report = self._report
        if found.origin != f"moat/{report.run}":
            self._problem("run", f"a checkpoint is of another log: {found.origin}")
            return
        signer = signer_of(found, self._keys)
        if signer is None:
            self._problem(
                "signature", f"the checkpoint of {found.size} entries has no good signature"
            )
            return
        if signer in self._revoked:
            self._problem("key", f"the checkpoint of {found.size} entries: its key was revoked")
            return
        if self._seq and signer.hex() not in self._named:
            self._problem(
                "key", f"the log does not name the key {fingerprint(signer)} that signs it"
            )
        if signer not in report.keys:
            report.keys.append(signer)
        if self._seq == 0:
            self._newest = found  # single entries follow, with their proofs
        elif found.size != self._tree.size:
            here = self._tree.size
            self._problem("shorter", f"{here} entries stand before a checkpoint of {found.size}")
            return
        elif found.root != self._tree.root():
            self._problem("root", f"the first {found.size} entries are not those that were signed")
            return
        report.checkpoints += 1
        report.signed = found.size
        self._sign_commits()
        for witness in self._witnesses:
            self._cosigned(found, witness)

    def _cosigned(self, found: Checkpoint, witness: Witness) -> None:
        try:
            moment = cosigned_at(found, witness)
        except ValueError as exc:
            self._problem("witness", f"the checkpoint of {found.size} entries: {exc}")
            return
        if moment is not None:
            self._seen[witness] = Seen(witness.name, found.size, time_of(moment))

    def _proved(self, proof: bytes, line: bytes) -> None:
        entry, _, private = line.partition(b"\t")
        match, tree = _ENTRY.fullmatch(entry), self._newest
        if match is None or tree is None:
            raise ValueError("an entry with a proof needs its checkpoint before it")
        if _PROOF.fullmatch(proof) is None:
            raise ValueError("its proof has not the form of one")
        hashes = [bytes.fromhex(each) for each in proof.decode().split(",") if each != "-"]
        content, kind, _, run, number, _ = match.groups()
        seq = int(number)
        if run.decode() != self._report.run:
            self._problem("run", f"entry {seq} is of another run: {run.decode()}")
        elif root_of_inclusion(leaf_hash(entry), seq, tree.size, hashes) != tree.root:
            self._problem("root", f"entry {seq} is not in the log that was signed")
        else:
            self._content(seq, kind, content, private)
            self._sign_commits()
            self._report.proved.append(seq)

    def _compare(self, size: int, held: set[bytes], root: bytes) -> None:
        if held != {root}:
            self._problem(
                "fork", f"the checkpoint of {size} entries that you hold has another root"
            )

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems of the lines so far."""
        return self._report.problems

    # --- the end ---

    def finish(self, *, is_open: bool = False) -> Report:
        """Return what was found. `is_open`: it is a run's own log, which has no end record."""
        if not self._report.run:
            raise UnreadableError("it names no run")
        self._end_file()
        report = self._report
        report.entries = self._tree.size
        report.closed = self._last_kind.decode() == CLOSED and report.signed == report.entries
        if not (is_open or self._ended):
            self._problem("cut", "the bundle ends in the middle")
        if not (is_open or report.entries or report.proved):
            self._problem("missing", "it has no entries")
        if not (is_open or report.signed or report.problems):
            self._problem("signature", "nothing is signed")
        self._finish_held()
        self._finish_files()
        self._finish_witnesses()
        report.trusted = bool(report.keys) and all(key in self._trusted for key in report.keys)
        if self._trusted and not report.trusted:
            names = ", ".join(map(fingerprint, report.keys)) or "nobody"
            self._problem("key", f"it is signed by {names}, not by the key that you trust")
        return report

    def _finish_held(self) -> None:
        """Report the checkpoints from elsewhere at whose size no entry was seen."""
        for size, roots in sorted(self._held.items()):
            if self._newest is None:
                here = self._report.entries
                self._problem(
                    "shorter", f"you hold a checkpoint of {size} entries, here are {here}"
                )
            elif self._newest.size == size:
                self._compare(size, roots, self._newest.root)
            else:
                self._remark(
                    f"single entries tell nothing about the checkpoint of {size} that you hold"
                )

    def _finish_files(self) -> None:
        signed = dict(self._commits)
        self._sign_commits()
        for name, digest in self._files.items():
            self._report.files[name] = signed.get(name) == digest
            if digest not in {signed.get(name), self._commits.get(name)}:
                self._problem("file", f"{name} is not what the log commits to")
        self._report.absent = len(self._commits.keys() - self._files.keys())

    def _finish_witnesses(self) -> None:
        for witness in self._witnesses:
            if witness in self._seen:
                self._report.seen.append(self._seen[witness])
                continue
            self._report.unseen.append(witness.name)
            if self._must_be_seen:
                self._problem("witness", f"{witness.name} has seen none of it")

    def _end_file(self) -> None:
        if self._file is not None:
            name, digest = self._file
            self._files[name] = digest.hexdigest()
            self._file = None

    def _remark(self, text: str) -> None:
        if len(self._report.remarks) < MAX_PROBLEMS:
            self._report.remarks.append(text)

    def _problem(self, code: str, text: str) -> None:
        if len(self._report.problems) < MAX_PROBLEMS:
            self._report.problems.append(Problem(code, text))


def _key(text: bytes) -> bytes:
    public = from_base64(text)
    if len(public) != 32:
        raise ValueError("a key has 32 bytes")
    return public


def _held(notes: Sequence[str]) -> dict[int, set[bytes]]:
    """Return the roots in checkpoints by their sizes."""
    held: dict[int, set[bytes]] = {}
    try:
        for each in map(read_checkpoint, notes):
            held.setdefault(each.size, set()).add(each.root)
    except ValueError as exc:
        raise UnreadableError(f"a checkpoint that you hold can't be read: {exc}") from exc
    return held
