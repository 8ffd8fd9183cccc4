/**
 * A receipt as it is read from a file that anybody may have written. In: any JSON value. Out: a receipt whose every
 * part has the kind that it must have, or null. What is read here is nothing that is believed yet.
 */

import { HASH } from "./digest";
import type { Sibling } from "./merkle";

export const CHECKPOINT_FIELDS = ["n", "from_id", "to_id", "entries", "root", "prev", "at"] as const;

export type Fields = Record<string, unknown>;

export interface Checkpoint extends Fields {
  n: number;
  root: string;
  hash: string;
  signature: string;
}

/** An entry of the ledger: the columns that are hashed in clear, and what ties it to the others. */
export interface Entry {
  seq: unknown;
  clear: Fields;
  commitment: string;
  prev: string;
  hash: string;
  checkpoint: Checkpoint | null;
  path: Sibling[];
}

export interface Receipt {
  said: Fields;
  purposes: Fields[];
  entries: Entry[];
  key: string;
}

export function readReceipt(value: unknown): Receipt | null {
  if (!isFields(value)) return null;
  const { ledger, purposes, ledger_key: key } = value;
  if (!Array.isArray(ledger) || !ledger.length || !Array.isArray(purposes) || typeof key !== "string") return null;
  const entries = ledger.map(readEntry);
  if (!entries.every((entry) => entry !== null) || !purposes.every(isFields)) return null;
  return { said: value, purposes, entries, key };
}

function readEntry(value: unknown): Entry | null {
  if (!isFields(value)) return null;
  const { seq, clear, commitment, prev, hash, checkpoint = null, path } = value;
  if (!isFields(clear) || !Object.values(clear).every(isScalar)) return null;
  if (!isHash(commitment) || !isHash(hash) || !(prev === "" || isHash(prev))) return null;
  if (checkpoint === null) return { seq, clear, commitment, prev, hash, checkpoint, path: [] };
  if (!isCheckpoint(checkpoint) || !Array.isArray(path) || !path.every(isSibling)) return null;
  return { seq, clear, commitment, prev, hash, checkpoint, path };
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (!isFields(value) || !CHECKPOINT_FIELDS.every((name) => isScalar(value[name]))) return false;
  return Number.isSafeInteger(value.n) && isHash(value.root) && isHash(value.hash) && typeof value.signature === "string";
}

function isSibling(value: unknown): value is Sibling {
  return isFields(value) && (value.side === "left" || value.side === "right") && isHash(value.hash);
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isHash(value: unknown): value is string {
  return typeof value === "string" && HASH.test(value);
}

function isScalar(value: unknown): boolean {
  return ["string", "number", "boolean"].includes(typeof value);
}
