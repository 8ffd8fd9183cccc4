/**
 * What the site publishes of its ledger: the key, and the hash of a checkpoint by its number. In: the address of
 * `/.well-known/consent-ledger.json`. Out: a function that asks it, a page of checkpoints at a time, each page once.
 * The question carries no cookie, and no copy that the browser kept is taken for an answer.
 */

import { isFields } from "./receipt";

export interface Published {
  key: string;
  /** The hash of the checkpoint that was asked for; null when no such checkpoint is published. */
  hash: string | null;
}

/** Ask for a checkpoint, or with null for the key alone; rejects when nothing can be read. */
export type Ask = (n: number | null) => Promise<Published>;

interface Page {
  key: string;
  hashes: Map<unknown, string>;
}

const PAGE = 100;

export function askAt(href: string, base?: string): Ask {
  const pages: Page[] = [];
  return async (n) => {
    const known = pages.find((page) => n === null || page.hashes.has(n));
    const page = known ?? (await read(new URL(href, base), n));
    if (!known) pages.push(page);
    return { key: page.key, hash: page.hashes.get(n) ?? null };
  };
}

async function read(url: URL, n: number | null): Promise<Page> {
  url.searchParams.set("from", String(n ?? 1));
  url.searchParams.set("limit", String(n === null ? 1 : PAGE));
  const response = await fetch(url, { cache: "no-store", credentials: "omit", headers: { Accept: "application/json" } });
  const answer: unknown = response.ok ? await response.json() : null;
  if (!isFields(answer) || typeof answer.key !== "string" || !Array.isArray(answer.checkpoints)) {
    throw new Error(`${url} holds no checkpoints.`);
  }
  const checkpoints = answer.checkpoints.filter(isFields);
  return { key: answer.key, hashes: new Map(checkpoints.map(({ n: number, hash }) => [number, String(hash)])) };
}
