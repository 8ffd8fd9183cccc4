/** SHA-256 and the ways in which bytes are written down: hexadecimal for hashes, Base64 for keys and signatures. */

export const HASH = /^[0-9a-f]{64}$/;

export type Bytes = Uint8Array<ArrayBuffer>;

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** Return the hash of a text's UTF-8 bytes, in hexadecimal. */
export async function hashOfText(text: string): Promise<string> {
  return toHex(await sha256(new TextEncoder().encode(text)));
}

export function toHex(bytes: Bytes): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function fromBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

export function joined(...parts: Bytes[]): Bytes {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
