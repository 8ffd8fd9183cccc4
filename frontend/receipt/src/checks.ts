/**
 * Check a receipt, step by step, as `consent/proofs.py` does. In: any JSON value, and a way to ask what is published.
 * Out: a verdict, and for each step whether it is ok, has failed, or could not be checked, and why.
 *
 * | the verdict | when |
 * |---|---|
 * | `none` | it is no receipt |
 * | `fails` | a step failed |
 * | `pending` | no step failed, and an entry has no checkpoint yet |
 * | `unsure` | no step failed, and one could not be checked: nothing is proved |
 * | `mostly` | only the signature could not be checked; what is published says the same |
 * | `holds` | every step is ok |
 */

import { canonical } from "./canonical";
import { fromBase64, hashOfText } from "./digest";
import { leadsTo } from "./merkle";
import type { Ask, Published } from "./published";
import { type Checkpoint, CHECKPOINT_FIELDS, type Entry, type Receipt, readReceipt } from "./receipt";

export const STEPS = ["words", "hash", "path", "checkpoint", "signature", "key", "published"] as const;

export type StepName = (typeof STEPS)[number];
export type State = "ok" | "failed" | "unchecked";
export type Verdict = "none" | "fails" | "pending" | "unsure" | "mostly" | "holds";
export type Why =
  | "ok" | "differs" | "bad" | "other" | "gone" | "rewritten" | "unlike"
  | "pending" | "unsupported" | "unreachable" | "insecure";

/** One step; `names` says which fields, purposes or checkpoints the sentence is about. */
export interface Step {
  name: StepName;
  state: State;
  why: Why;
  names: string[];
}

export interface Result {
  verdict: Verdict;
  steps: Step[];
  receipt: Receipt | null;
}

const UNCHECKED: ReadonlySet<Why> = new Set<Why>(["pending", "unsupported", "unreachable", "insecure"]);

/** What a step found at one place. */
type Found = [why: Why, name: string];

export async function check(value: unknown, ask: Ask): Promise<Result> {
  const receipt = readReceipt(value);
  if (!receipt) return { verdict: "none", steps: [], receipt };
  const told = await Promise.all(receipt.entries.map(({ checkpoint }) => ask(checkpoint?.n ?? null).catch(() => null)));
  const found: Record<StepName, Found[]> = {
    words: differences(receipt).map((name): Found => ["differs", name]),
    hash: await each(receipt, async (entry) => calculated(async () => (await hashOf(entry)) === entry.hash)),
    path: await each(receipt, tied((checkpoint, entry) => calculated(() => leadsTo(entry.hash, entry.path, checkpoint.root)))),
    checkpoint: await each(receipt, tied((checkpoint) => calculated(async () => (await hashOfCheckpoint(checkpoint)) === checkpoint.hash))),
    signature: await each(receipt, tied((checkpoint) => signed(checkpoint, receipt.key))),
    key: told.map((one): Found => [sameKey(receipt, one), ""]),
    published: receipt.entries.map((entry, at): Found => [stillPublished(entry, told[at] ?? null), String(entry.checkpoint?.n ?? "")]),
  };
  const steps = fair(STEPS.map((name) => step(name, found[name])));
  return { verdict: verdictOf(steps), steps, receipt };
}

function verdictOf(steps: Step[]): Verdict {
  if (steps.some(({ state }) => state === "failed")) return "fails";
  if (steps.some(({ why }) => why === "pending")) return "pending";
  const left = steps.filter(({ state }) => state === "unchecked");
  if (!left.length) return "holds";
  return left.every(({ why }) => why === "unsupported") ? "mostly" : "unsure";
}

/** Only a checkpoint that the site's own key has signed can accuse the site: anybody can make up another one. */
function fair(steps: Step[]): Step[] {
  const signed = steps.every(({ name, state }) => state === "ok" || name === "words" || name === "published");
  return steps.map((one) => (signed || !["gone", "rewritten"].includes(one.why) ? one : { ...one, why: "unlike" }));
}

/** Add up what was found in all places: what failed counts before what could not be checked, and that before ok. */
function step(name: StepName, found: Found[]): Step {
  const failed = found.filter(([why]) => why !== "ok" && !UNCHECKED.has(why));
  const left = found.filter(([why]) => UNCHECKED.has(why));
  const [state, listed]: [State, Found[]] = failed.length ? ["failed", failed] : left.length ? ["unchecked", left] : ["ok", []];
  const why = listed[0]?.[0] ?? "ok";
  return { name, state, why, names: [...new Set(listed.map(([, place]) => place).filter(Boolean))] };
}

async function each(receipt: Receipt, look: (entry: Entry) => Promise<Why>): Promise<Found[]> {
  return Promise.all(receipt.entries.map(async (entry): Promise<Found> => [await look(entry), String(entry.clear.purpose)]));
}

function tied(look: (checkpoint: Checkpoint, entry: Entry) => Promise<Why>): (entry: Entry) => Promise<Why> {
  return async (entry) => (entry.checkpoint ? look(entry.checkpoint, entry) : "pending");
}

/** Browsers calculate hashes on pages over https alone; what has no spelling cannot be what was hashed. */
async function calculated(same: () => Promise<boolean>): Promise<Why> {
  if (!globalThis.crypto?.subtle) return "insecure";
  try {
    return (await same()) ? "ok" : "differs";
  } catch {
    return "differs";
  }
}

export function hashOf(entry: Pick<Entry, "prev" | "clear" | "commitment">): Promise<string> {
  return hashOfText(entry.prev + canonical(entry.clear) + entry.commitment);
}

export function hashOfCheckpoint(checkpoint: Checkpoint): Promise<string> {
  return hashOfText(canonical(Object.fromEntries(CHECKPOINT_FIELDS.map((name) => [name, checkpoint[name]]))));
}

/** The hash is signed as its 64 letters (Ed25519, RFC 8032). */
async function signed(checkpoint: Checkpoint, key: string): Promise<Why> {
  if (!globalThis.crypto?.subtle) return "insecure";
  try {
    const verifier = await crypto.subtle.importKey("raw", fromBase64(key), { name: "Ed25519" }, false, ["verify"]);
    const message = new TextEncoder().encode(checkpoint.hash);
    return (await crypto.subtle.verify({ name: "Ed25519" }, verifier, fromBase64(checkpoint.signature), message)) ? "ok" : "bad";
  } catch (error) {
    return (error as Error).name === "NotSupportedError" ? "unsupported" : "bad";
  }
}

function sameKey(receipt: Receipt, told: Published | null): Why {
  if (!told) return "unreachable";
  return told.key === receipt.key ? "ok" : "other";
}

function stillPublished({ checkpoint }: Entry, told: Published | null): Why {
  if (!checkpoint) return "pending";
  if (!told) return "unreachable";
  if (told.hash === null) return "gone";
  return told.hash === checkpoint.hash ? "ok" : "rewritten";
}

/** Name the fields in which a receipt says anything else than its entries, which alone are hashed. */
function differences({ said, purposes, entries }: Receipt): string[] {
  const { clear, hash } = entries[entries.length - 1]!;
  const subject = dashed(String(clear.subject));
  const words = {
    receipt_id: hash,
    record_id: `${subject}:${clear.seq}`,
    pii_principal_id: subject,
    privacy_notice: clear.notice_version,
    served: Boolean(clear.served_id),
    jurisdiction: clear.regime,
    entity_id: clear.actor,
    event_time: String(clear.at).replace("+00:00", "Z"),
  };
  const names = Object.entries(words).filter(([name, value]) => said[name] !== value).map(([name]) => name);
  if (purposes.length !== entries.length) names.push("purposes");
  return [...names, ...entries.flatMap((entry, at) => differencesOf(entry, purposes[at]))];
}

function differencesOf({ clear, seq }: Entry, purpose: Record<string, unknown> | undefined): string[] {
  const columns = { purpose: "purpose", event_state: "action", method: "method" };
  const names = Object.entries(columns).filter(([name, column]) => purpose && purpose[name] !== clear[column]).map(([name]) => name);
  return seq === clear.seq ? names : [...names, "seq"];
}

function dashed(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
