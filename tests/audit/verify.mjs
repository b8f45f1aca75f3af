// Verifies bundles with the page's verifier: a JSON object per line comes in, and one goes out.
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto; // Node 18 has it, but not by this name
const { readWitness, UnreadableError, verdict, verify } = await import(process.argv[2]);

async function answer({ content, options }) {
  const { witnesses = [], ...others } = options;
  try {
    const known = await Promise.all(witnesses.map(readWitness));
    const bytes = Uint8Array.from(Buffer.from(content, "base64"));
    const report = await verify([bytes], { ...others, witnesses: known });
    return { report: { ...report, files: Object.fromEntries(report.files) }, lines: await verdict(report) };
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return { unreadable: error.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
