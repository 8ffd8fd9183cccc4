/**
 * Whether an entry is under a root: the path of its siblings, from the bottom up. Leaves are hashed behind 0x00 and
 * nodes behind 0x01, so that neither can pass for the other (RFC 6962, section 2.1).
 */

import { type Bytes, fromHex, joined, sha256, toHex } from "./digest";

export interface Sibling {
  side: "left" | "right";
  hash: string;
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export async function leadsTo(entry: string, path: Sibling[], root: string): Promise<boolean> {
  let node: Bytes = await sha256(joined(LEAF, fromHex(entry)));
  for (const { side, hash } of path) {
    const other = fromHex(hash);
    node = await sha256(side === "left" ? joined(NODE, other, node) : joined(NODE, node, other));
  }
  return toHex(node) === root;
}
