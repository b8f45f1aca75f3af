// The verifier of audit logs in plain JavaScript, for browsers and Node. docs/audit.md has the format.
//
// It is src/moat/audit/{proofs,content,report,verifier}.py once more, with the same findings in the same
// words, and the verdict of src/moat/cli/audit_text.py. It uses WebCrypto for SHA-256 and Ed25519, no
// network, no storage, and nothing else. The names are those of the Python files; read them side by side.

const FORMAT = "moat-audit-bundle/1";
const MAX_PROBLEMS = 50;
const MAX_KEYS = 100;
const LONGEST_LINE = 16 << 20;
const LATEST = 253402300799n;
const ENTRY = new RegExp(
  '^\\{"content":"([0-9a-f]{64})","kind":"([a-z][a-z0-9_]*)","prev":"([0-9a-f]{64})",' +
    '"run":"([0-9a-f]{12})","seq":(0|[1-9][0-9]{0,14}),' +
    '"time":"(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z)","v":1\\}$',
);
const PROOF = /^(?:-|[0-9a-f]{64}(?:,[0-9a-f]{64})*)$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const SIGNATURE = /^\u2014 ([^ +\n]+) ([A-Za-z0-9+/]+={0,2})$/;
const VERIFIER_KEY = /^([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/;

/** The text is no audit log, so nothing can be said about it. */
export class UnreadableError extends Error {}

/** Something in a line has not its form. */
class FormError extends Error {}

// --- bytes and text ---

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function utf8(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FormError("it is not UTF-8");
  }
}

/** Return bytes as text of as many characters: what is compared and matched is ASCII. */
function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return text;
}

function fromBase64(text) {
  if (text.length % 4 || !BASE64.test(text)) throw new FormError("it is not base64");
  return Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
}

function hex(bytes) {
  return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
}

function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (each) => parseInt(each, 16));
}

function concatenated(parts) {
  const all = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of parts) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

function partition(bytes, separator) {
  const at = bytes.indexOf(separator);
  return at < 0 ? [bytes, new Uint8Array()] : [bytes.subarray(0, at), bytes.subarray(at + 1)];
}

async function sha256(...parts) {
  return digest(parts);
}

async function digest(parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatenated(parts)));
}

// --- Merkle trees (RFC 9162 2.1) ---

function leafHash(entry) {
  return sha256([0], entry);
}

function nodeHash(left, right) {
  return sha256([1], left, right);
}

class Frontier {
  size = 0;
  roots = [];

  async append(leaf) {
    for (let size = this.size; size % 2; size = Math.floor(size / 2)) {
      leaf = await nodeHash(this.roots.pop(), leaf);
    }
    this.roots.push(leaf);
    this.size += 1;
  }

  async root() {
    if (!this.roots.length) return sha256();
    let root = this.roots.at(-1);
    for (const left of this.roots.slice(0, -1).reverse()) root = await nodeHash(left, root);
    return root;
  }
}

async function rootOfInclusion(leaf, index, size, proof) {
  if (!(index >= 0 && index < size)) return null;
  const half = (number) => Math.floor(number / 2); // shifts would cut numbers to 32 bits
  let [at, last, root] = [index, size - 1, leaf];
  for (const each of proof) {
    if (last === 0) return null;
    if (at % 2 || at === last) {
      root = await nodeHash(each, root);
      while (at % 2 === 0 && at) [at, last] = [half(at), half(last)];
    } else {
      root = await nodeHash(root, each);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? root : null;
}

// --- checkpoints: signed notes ---

async function keyId(name, kind, publicKey) {
  return hex((await sha256(encoder.encode(`${name}\n`), [kind], publicKey)).subarray(0, 4));
}

function readCheckpoint(note) {
  const at = note.lastIndexOf("\n\n");
  const text = at < 0 ? "" : note.slice(0, at);
  const tail = note.slice(at + 2);
  const lines = text.split("\n");
  if (at < 0 || !tail.endsWith("\n") || lines.length < 3) throw new FormError("it is no checkpoint");
  const signatures = tail.slice(0, -1).split("\n").map((line) => {
    const match = SIGNATURE.exec(line);
    if (match === null) throw new FormError("it has a malformed signature");
    const data = fromBase64(match[2]);
    return { name: match[1], id: hex(data.subarray(0, 4)), data: data.subarray(4) };
  });
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(lines[1])) throw new FormError("it has no size");
  const root = fromBase64(lines[2]);
  if (root.length !== 32) throw new FormError("it has no root");
  return { origin: lines[0], size: Number(lines[1]), root: hex(root), text: `${text}\n`, signatures };
}

async function isSigned(publicKey, signature, text) {
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, encoder.encode(text));
  } catch (error) {
    if (error.name === "NotSupportedError") throw error; // nothing can be said without Ed25519
    return false;
  }
}

/** Return the key (in hexadecimal) of the first of `keys` that has signed, or null. */
async function signerOf(checkpoint, keys) {
  for (const key of keys) {
    const publicKey = fromHex(key);
    const id = await keyId(checkpoint.origin, 1, publicKey);
    const found = checkpoint.signatures.find(
      (each) => each.name === checkpoint.origin && each.id === id,
    );
    if (found && (await isSigned(publicKey, found.data, checkpoint.text))) return key;
  }
  return null;
}

export async function fingerprint(key) {
  return hex(await sha256(fromHex(key))).slice(0, 32);
}

// --- cosignatures ---

/** Read the verifier key of a witness, `name+hash+key`. */
export async function readWitness(text) {
  const match = VERIFIER_KEY.exec(text);
  if (match === null) throw new FormError("it has not the form name+hash+key");
  const data = fromBase64(match[3]);
  if (data[0] !== 4 || data.length !== 33) {
    throw new FormError("it is no key for cosignatures with Ed25519");
  }
  if ((await keyId(match[1], 4, data.subarray(1))) !== match[2]) {
    throw new FormError("its hash is not that of the key");
  }
  return { name: match[1], id: match[2], key: data.subarray(1) };
}

async function cosignedAt(checkpoint, witness) {
  const found = checkpoint.signatures.find(
    (each) => each.name === witness.name && each.id === witness.id,
  );
  if (!found) return null;
  let moment = 0n;
  for (const each of found.data.subarray(0, 8)) moment = moment * 256n + BigInt(each);
  const text = `cosignature/v1\ntime ${moment}\n${checkpoint.text}`;
  if (!(await isSigned(witness.key, found.data.subarray(8), text))) {
    throw new FormError(`the cosignature of ${witness.name} is not genuine`);
  }
  if (!(moment > 0n && moment <= LATEST)) {
    throw new FormError(`the cosignature of ${witness.name} has no time`);
  }
  return new Date(Number(moment) * 1000).toISOString().replace(".000Z", "Z");
}

// --- contents ---

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readContent(bytes) {
  const content = JSON.parse(utf8(bytes));
  const data = isObject(content) && Object.hasOwn(content, "data") ? content.data : null;
  if (!isObject(data)) throw new FormError("it is no content");
  const commits = Object.hasOwn(data, "commits") ? data.commits : {};
  const gone = Object.hasOwn(data, "void") ? data.void : [];
  if (!isObject(commits) || !Array.isArray(gone)) throw new FormError("it is no content");
  const words = [...Object.values(commits), ...gone];
  if (!words.every((each) => typeof each === "string")) throw new FormError("it is no content");
  return { commits, gone, named: Object.hasOwn(data, "public") ? data.public : null };
}

// --- the verifier ---

/** Takes the lines of a bundle (bytes, without their newlines), one after the other. */
export class Verifier {
  report = {
    run: "",
    entries: 0,
    redacted: 0,
    checkpoints: 0,
    signed: 0,
    first_time: "",
    last_time: "",
    closed: false,
    keys: [],
    trusted: false,
    files: new Map(),
    absent: 0,
    seen: [],
    unseen: [],
    proved: [],
    remarks: [],
    problems: [],
  };
  #tree = new Frontier();
  #prev = "0".repeat(64);
  #seq = 0;
  #named = new Set();
  #keys = new Set();
  #commits = new Map();
  #unsigned = [];
  #files = new Map();
  #file = null;
  #lastKind = "";
  #newest = null;
  #lines = 0;
  #ended = false;
  #seen = new Map();

  /** `trusted`, `revoked`: public keys in hexadecimal; `held`: notes; `witnesses`: of `readWitness`. */
  constructor({ trusted = [], revoked = [], held = [], witnesses = [], mustBeSeen = false } = {}) {
    this.trusted = new Set(trusted);
    this.revoked = new Set(revoked);
    this.witnesses = witnesses;
    this.mustBeSeen = mustBeSeen;
    this.held = new Map();
    for (const note of held) {
      let found;
      try {
        found = readCheckpoint(note);
      } catch (error) {
        throw new UnreadableError(`a checkpoint that you hold can't be read: ${error.message}`);
      }
      if (!this.held.has(found.size)) this.held.set(found.size, new Set());
      this.held.get(found.size).add(found.root);
    }
  }

  async feed(line) {
    this.#lines += 1;
    const [first, rest] = partition(line, 32);
    const word = latin1(first.subarray(0, 32));
    if (this.#lines === 1) {
      if (latin1(line.subarray(0, 32)) !== FORMAT) {
        throw new UnreadableError("it is no audit log, or one of a later version of Moat");
      }
    } else if (this.#ended) {
      this.#problem("format", "something follows the end");
    } else if (word === "entry" && line.length > 5) {
      await this.#entry(rest);
    } else {
      try {
        await this.#other(word, rest);
      } catch (error) {
        if (!(error instanceof FormError)) throw error;
        this.#problem("format", `line ${this.#lines}: ${error.message}`);
      }
    }
  }

  async #other(word, rest) {
    const filing = this.#file !== null;
    if (word === "run" && this.#lines === 2 && /^[0-9a-f]{12}$/.test(latin1(rest.subarray(0, 13)))) {
      this.report.run = latin1(rest);
    } else if (word === "key" && !filing && this.#keys.size < MAX_KEYS) {
      const key = fromBase64(latin1(rest));
      if (key.length !== 32) throw new FormError("a key has 32 bytes");
      this.#keys.add(hex(key));
    } else if (word === "checkpoint" && !filing && this.#newest === null) {
      await this.#checkpoint(readCheckpoint(utf8(fromBase64(latin1(rest)))));
    } else if (word === "proved" && !filing) {
      const [proof, line] = partition(rest, 32);
      await this.#proved(latin1(proof), line);
    } else if (word === "file") {
      await this.#endFile();
      const name = utf8(rest);
      if (this.#files.has(name)) throw new FormError("there is a file of that name already");
      this.#file = { name, pieces: [] };
    } else if (word === "data" && filing) {
      this.#file.pieces.push(fromBase64(latin1(rest)));
    } else if (word === "end" && latin1(rest) === `${this.#lines}`) {
      this.#ended = true;
    } else {
      throw new FormError("no such record may stand here");
    }
  }

  // --- entries ---

  async #entry(line) {
    const [entry, content] = partition(line, 9);
    const match = ENTRY.exec(latin1(entry));
    if (match === null) {
      this.#problem("format", `line ${this.#lines} is no entry in canonical form`);
      return;
    }
    if (this.#newest !== null || this.#file !== null) {
      this.#problem("format", `line ${this.#lines}: no entry may stand behind what it proves`);
      return;
    }
    const [, hash, kind, prev, run, number, time] = match;
    const report = this.report;
    const seq = Number(number);
    if (seq !== this.#seq) {
      this.#outOfOrder(seq);
    } else if (prev !== this.#prev) {
      this.#problem("chain", `entry ${seq} does not follow on the entry before it`);
    }
    if (run !== report.run) this.#problem("run", `entry ${seq} is of another run: ${run}`);
    const leaf = await leafHash(entry);
    await this.#tree.append(leaf);
    this.#prev = hex(leaf);
    this.#seq = seq + 1;
    this.#lastKind = kind;
    if (time < report.last_time) {
      this.#remark(`the clock went back at entry ${seq}: from ${report.last_time} to ${time}`);
    } else if (!report.first_time) {
      report.first_time = time;
    }
    report.last_time = time;
    if (seq === 0 && kind !== "run_created") {
      this.#problem("missing", "the log does not begin with the creation of the run");
    }
    await this.#content(seq, kind, hash, content);
    const held = this.held.get(this.#tree.size);
    if (held !== undefined) {
      this.held.delete(this.#tree.size);
      this.#compare(this.#tree.size, held, hex(await this.#tree.root()));
    }
  }

  async #content(seq, kind, hash, content) {
    if (!content.length) {
      this.report.redacted += 1;
      return;
    }
    if (hex(await sha256(content)) !== hash) {
      this.#problem("content", `the content of entry ${seq} was changed`);
    } else if (kind === "signing_key" || latin1(content).includes('"commits":{')) {
      try {
        const found = readContent(content);
        this.#unsigned.push(found);
        if (kind === "signing_key") {
          if (typeof found.named !== "string") throw new FormError("it names no key");
          this.#named.add(found.named);
        }
      } catch (error) {
        if (!(error instanceof FormError || error instanceof SyntaxError)) throw error;
        this.#problem("format", `the content of entry ${seq} is none that Moat writes`);
      }
    }
  }

  #signCommits() {
    for (const { commits, gone } of this.#unsigned) {
      for (const [name, digest] of Object.entries(commits)) this.#commits.set(name, digest);
      for (const name of gone) this.#commits.delete(name);
    }
    this.#unsigned = [];
  }

  #outOfOrder(seq) {
    if (seq > this.#seq) {
      const gone = seq === this.#seq + 1 ? `${this.#seq}` : `${this.#seq} to ${seq - 1}`;
      this.#problem("missing", `before entry ${seq}, there is no entry ${gone}`);
    } else {
      this.#problem("order", `entry ${seq} stands where ${this.#seq} should: moved or repeated`);
    }
  }

  // --- checkpoints ---

  async #checkpoint(found) {
    const report = this.report;
    if (found.origin !== `moat/${report.run}`) {
      this.#problem("run", `a checkpoint is of another log: ${found.origin}`);
      return;
    }
    const signer = await signerOf(found, this.#keys);
    if (signer === null) {
      this.#problem("signature", `the checkpoint of ${found.size} entries has no good signature`);
      return;
    }
    if (this.revoked.has(signer)) {
      this.#problem("key", `the checkpoint of ${found.size} entries: its key was revoked`);
      return;
    }
    if (this.#seq && !this.#named.has(signer)) {
      const name = await fingerprint(signer);
      this.#problem("key", `the log does not name the key ${name} that signs it`);
    }
    if (!report.keys.includes(signer)) report.keys.push(signer);
    if (this.#seq === 0) {
      this.#newest = found;
    } else if (found.size !== this.#tree.size) {
      const here = this.#tree.size;
      this.#problem("shorter", `${here} entries stand before a checkpoint of ${found.size}`);
      return;
    } else if (found.root !== hex(await this.#tree.root())) {
      this.#problem("root", `the first ${found.size} entries are not those that were signed`);
      return;
    }
    report.checkpoints += 1;
    report.signed = found.size;
    this.#signCommits();
    for (const witness of this.witnesses) {
      try {
        const time = await cosignedAt(found, witness);
        if (time !== null) this.#seen.set(witness, { name: witness.name, size: found.size, time });
      } catch (error) {
        if (!(error instanceof FormError)) throw error;
        this.#problem("witness", `the checkpoint of ${found.size} entries: ${error.message}`);
      }
    }
  }

  async #proved(proof, line) {
    const [entry, content] = partition(line, 9);
    const match = ENTRY.exec(latin1(entry));
    const tree = this.#newest;
    if (match === null || tree === null) {
      throw new FormError("an entry with a proof needs its checkpoint before it");
    }
    if (!PROOF.test(proof)) throw new FormError("its proof has not the form of one");
    const hashes = proof === "-" ? [] : proof.split(",").map(fromHex);
    const [, hash, kind, , run, number] = match;
    const seq = Number(number);
    if (run !== this.report.run) {
      this.#problem("run", `entry ${seq} is of another run: ${run}`);
      return;
    }
    const root = await rootOfInclusion(await leafHash(entry), seq, tree.size, hashes);
    if (root === null || hex(root) !== tree.root) {
      this.#problem("root", `entry ${seq} is not in the log that was signed`);
      return;
    }
    await this.#content(seq, kind, hash, content);
    this.#signCommits();
    this.report.proved.push(seq);
  }

  #compare(size, held, root) {
    if (held.size !== 1 || !held.has(root)) {
      this.#problem("fork", `the checkpoint of ${size} entries that you hold has another root`);
    }
  }

  // --- the end ---

  async finish() {
    const report = this.report;
    if (!report.run) throw new UnreadableError("it names no run");
    await this.#endFile();
    report.entries = this.#tree.size;
    report.closed = this.#lastKind === "log_closed" && report.signed === report.entries;
    if (!this.#ended) this.#problem("cut", "the bundle ends in the middle");
    if (!(report.entries || report.proved.length)) this.#problem("missing", "it has no entries");
    if (!(report.signed || report.problems.length)) this.#problem("signature", "nothing is signed");
    this.#finishHeld();
    this.#finishFiles();
    this.#finishWitnesses();
    report.trusted = report.keys.length > 0 && report.keys.every((each) => this.trusted.has(each));
    if (this.trusted.size && !report.trusted) {
      const names = (await Promise.all(report.keys.map(fingerprint))).join(", ") || "nobody";
      this.#problem("key", `it is signed by ${names}, not by the key that you trust`);
    }
    return report;
  }

  #finishHeld() {
    for (const [size, roots] of [...this.held].sort(([a], [b]) => a - b)) {
      if (this.#newest === null) {
        const here = this.report.entries;
        this.#problem("shorter", `you hold a checkpoint of ${size} entries, here are ${here}`);
      } else if (this.#newest.size === size) {
        this.#compare(size, roots, this.#newest.root);
      } else {
        this.#remark(`single entries tell nothing about the checkpoint of ${size} that you hold`);
      }
    }
  }

  #finishFiles() {
    const signed = new Map(this.#commits);
    this.#signCommits();
    for (const [name, digest] of this.#files) {
      this.report.files.set(name, signed.get(name) === digest);
      if (signed.get(name) !== digest && this.#commits.get(name) !== digest) {
        this.#problem("file", `${name} is not what the log commits to`);
      }
    }
    this.report.absent = [...this.#commits.keys()].filter((each) => !this.#files.has(each)).length;
  }

  #finishWitnesses() {
    for (const witness of this.witnesses) {
      const seen = this.#seen.get(witness);
      if (seen !== undefined) {
        this.report.seen.push(seen);
        continue;
      }
      this.report.unseen.push(witness.name);
      if (this.mustBeSeen) this.#problem("witness", `${witness.name} has seen none of it`);
    }
  }

  async #endFile() {
    if (this.#file !== null) {
      this.#files.set(this.#file.name, hex(await digest(this.#file.pieces)));
      this.#file = null;
    }
  }

  #remark(text) {
    if (this.report.remarks.length < MAX_PROBLEMS) this.report.remarks.push(text);
  }

  #problem(code, text) {
    if (this.report.problems.length < MAX_PROBLEMS) this.report.problems.push({ code, text });
  }
}

/** Verify a bundle that comes in pieces, which are bytes. Throws `UnreadableError`. */
export async function verify(pieces, options) {
  const verifier = new Verifier(options);
  let rest = [];
  let length = 0;
  for await (const piece of pieces) {
    let start = 0;
    for (let end; (end = piece.indexOf(10, start)) >= 0; start = end + 1) {
      const line = concatenated([...rest, piece.subarray(start, end)]);
      if (line.length + 1 >= LONGEST_LINE) throw new UnreadableError("it has a line that is too long");
      [rest, length] = [[], 0];
      await verifier.feed(line);
    }
    rest.push(piece.slice(start));
    length += piece.length - start;
    if (length >= LONGEST_LINE) throw new UnreadableError("it has a line that is too long");
  }
  if (length) await verifier.feed(concatenated(rest));
  return verifier.finish();
}

// --- the verdict ---

/** Return lines: what is proven, what isn't, and what is wrong. */
export async function verdict(report) {
  const lines = [];
  report.problems.forEach((each, at) => {
    lines.push(`${at ? "            " : "NOT GENUINE:"} ${each.text}`);
  });
  if (report.problems.length) lines.push("");
  lines.push(`run ${report.run}: ${report.entries || report.proved.length} entries`);
  if (!report.problems.length) {
    lines.push("proven:", ...(await proven(report)).map((each) => `  - ${each}`));
  }
  lines.push("not proven:", ...unproven(report).map((each) => `  - ${each}`));
  if (report.remarks.length) {
    lines.push("worth a look:", ...report.remarks.map((each) => `  - ${each}`));
  }
  return lines;
}

async function proven(report) {
  const lines = [];
  const names = (await Promise.all(report.keys.map(fingerprint))).join(", ");
  if (report.proved.length) {
    const listed = report.proved.join(", ");
    lines.push(
      `entries ${listed} are in the log of ${report.signed} entries that ${names} has signed`,
    );
  } else if (report.signed) {
    lines.push(
      `the first ${report.signed} entries are what ${names} has signed: none was changed,` +
        " added, dropped or moved",
    );
  } else {
    lines.push("each entry follows on the one before it");
  }
  if (report.trusted) lines.push("that key is the one that you named");
  if (report.closed) lines.push(`the log is complete: entry ${report.entries - 1} closes it`);
  for (const { name, size, time } of report.seen) {
    lines.push(
      `${name} saw the first ${size} entries by ${time}: they are not younger, and it` +
        " signs no other history of this run in their place, by whatever key",
    );
  }
  const genuine = [...report.files.values()].filter(Boolean).length;
  if (genuine) {
    lines.push(
      `${genuine} files (specification, output, requests) are those that the log commits to`,
    );
  }
  return lines;
}

function unproven(report) {
  const lines = [];
  const unsigned = report.entries - report.signed;
  if (unsigned > 0) lines.push(`the last ${unsigned} entries are not signed yet`);
  if (!report.trusted) {
    lines.push("whose key it is: compare it with moat audit key show, and give it as --key");
  }
  if (report.seen.length) {
    const late = report.entries - Math.max(...report.seen.map((each) => each.size));
    if (late > 0) {
      lines.push(`that the last ${late} entries are the only ones: no witness has seen them`);
    }
    lines.push("that a witness is honest: one in league with the key's owner could sign a second log");
  } else {
    lines.push("that there is no second log of this run: no witness that you named has seen this one");
  }
  for (const name of report.unseen) lines.push(`that ${name} has seen it`);
  if (!(report.closed || report.proved.length)) {
    lines.push("that nothing followed: the log is not closed");
  }
  if (report.redacted) {
    lines.push(`what ${report.redacted} entries say: their content was left out`);
  }
  if (report.absent) {
    lines.push(`${report.absent} files that the log commits to: they are not here`);
  }
  const loose = [...report.files].filter(([, genuine]) => !genuine).map(([name]) => name);
  if (loose.length) {
    lines.push(`files to which only unsigned entries commit: ${loose.join(", ")}`);
  }
  lines.push("that the machine told the truth, and its clock: whoever has its key could sign anything");
  return lines;
}
