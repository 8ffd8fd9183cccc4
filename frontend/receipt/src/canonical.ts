/**
 * The one spelling of a JSON value that can be hashed: RFC 8785 (JCS). In: what JSON.parse returns. Out: text.
 *
 * Numbers and strings are spelled by ECMAScript's own rules, which the RFC adopts; names are sorted by UTF-16 code
 * units, which is how JavaScript compares strings. What has no spelling throws a TypeError: NaN, infinities, lone
 * surrogates, and what is no JSON.
 */

const LONE_SURROGATE = /\p{Surrogate}/u; // in a pair they are one letter, which is none

export function canonical(value: unknown): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return spelledNumber(value);
  if (typeof value === "string") return spelledString(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object") return spelledObject(value as Record<string, unknown>);
  throw new TypeError(`A ${typeof value} has no canonical spelling.`);
}

function spelledNumber(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical spelling.`);
  return JSON.stringify(value);
}

function spelledString(value: string): string {
  if (LONE_SURROGATE.test(value)) throw new TypeError("A lone surrogate has no canonical spelling.");
  return JSON.stringify(value);
}

function spelledObject(value: Record<string, unknown>): string {
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${spelledString(name)}:${canonical(value[name])}`).join(",")}}`;
}
