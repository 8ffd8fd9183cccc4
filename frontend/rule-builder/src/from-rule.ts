/**
 * A rule of the condition grammar to rows and groups, or the reason why the builder cannot show it.
 *
 * Only the authoring profile is read, and nothing is guessed: whatever does not match the written form
 * of some operator throws `NotShown`, with a sentence, so that the caller leaves the rule as it is.
 * What else means the same exactly is read too: several keys of one object (ALL), `$not` (NONE), and
 * windows written with or without `$exists`.
 */

import { isDraft, readDid, readSeq } from "./behaviour";
import { OPERATORS, type Operator } from "./operators";
import { type Combinator, type Group, type Row, EMPTY } from "./query";
import { readValue } from "./values";
import type { Fact, Vocabulary } from "./vocabulary";

type Json = { [key: string]: unknown };

/** The rule is outside what the builder can show; the message is a sentence for the editor. */
export class NotShown extends Error {}

const COMBINATORS: Record<string, Combinator> = { $and: "and", $or: "or", $nor: "nor" };

export function fromRule(rule: unknown, vocabulary: Vocabulary): Group {
  if (!isObject(rule)) throw new NotShown("A rule is a JSON object.");
  if (!Object.keys(rule).length) return EMPTY;
  const node = readObject(rule, vocabulary);
  return "rules" in node ? node : { combinator: "and", rules: [node] };
}

function readObject(rule: Json, vocabulary: Vocabulary): Row | Group {
  const entries = Object.entries(rule);
  if (!entries.length) throw new NotShown("An empty condition inside a group always matches; the builder has no row for it.");
  if (entries.length === 1) return readEntry(entries[0], vocabulary);
  return { combinator: "and", rules: entries.map((entry) => readEntry(entry, vocabulary)) };
}

function readEntry([key, value]: [string, unknown], vocabulary: Vocabulary): Row | Group {
  if (key === "$unfinished" && isObject(value)) return readUnfinished(value);
  if (key === "$not" && isObject(value)) return { combinator: "nor", rules: [readObject(value, vocabulary)] };
  if (key in COMBINATORS) return readGroup(key, value, vocabulary);
  if (key === "$did" || key === "$seq") return readBehaviour(key, value, vocabulary);
  if (key.startsWith("$")) throw new NotShown(`It uses the operator ${key}, which the builder does not offer.`);
  return readCondition(key, value, vocabulary);
}

function readBehaviour(key: string, value: unknown, vocabulary: Vocabulary): Row {
  if (!vocabulary.has(key)) throw new NotShown(`It looks at behaviour (${key}), which a display rule cannot: put it into a segment.`);
  const draft = key === "$seq" ? readSeq(value) : readDid(value);
  if (!draft) throw new NotShown(`It looks at behaviour (${key}) in a way that has no row in the builder.`);
  return { field: key, operator: key.slice(1), value: draft };
}

function readGroup(key: string, value: unknown, vocabulary: Vocabulary): Row | Group {
  if (!Array.isArray(value) || !value.length || !value.every(isObject)) {
    throw new NotShown(`${key} needs a list with at least one condition.`);
  }
  const window = key === "$or" && value.length === 2 ? readWrappedWindow(value, vocabulary) : null;
  return window ?? { combinator: COMBINATORS[key], rules: value.filter(isPresent).map((part) => readObject(part, vocabulary)) };
}

/** An empty group is written with one empty marker, which stands for no row at all. */
function isPresent(part: Json): boolean {
  return !(isObject(part.$unfinished) && !Object.keys(part.$unfinished).length);
}

function readUnfinished(row: Json): Row {
  const { field, operator, value } = row;
  if (isDraft(value)) return { field: String(field ?? ""), operator: String(operator ?? ""), value };
  const texts = Array.isArray(value) ? value.map(String) : String(value ?? "");
  return { field: String(field ?? ""), operator: String(operator ?? ""), value: texts };
}

function readWrappedWindow(parts: Json[], vocabulary: Vocabulary): Row | null {
  const [[field, from], [other, to]] = parts.map((part) => Object.entries(part)[0] ?? ["", null]);
  const fact = vocabulary.get(field);
  const single = parts.every((part) => Object.keys(part).length === 1);
  if (!single || field !== other || (fact?.kind !== "time" && fact?.kind !== "hour")) return null;
  const ends = [readEnd(fact, from, "$gte"), readEnd(fact, to, "$lt")];
  const wraps = ends[0] !== null && ends[1] !== null && compare(fact, ends as string[]) > 0;
  return wraps ? { field, operator: "window", value: ends as string[] } : null;
}

function readEnd(fact: Fact, condition: unknown, key: string): string | null {
  if (!isObject(condition)) return null;
  const { $exists: guard = true, ...rest } = condition;
  return guard === true && Object.keys(rest).join() === key ? readValue(fact.kind, rest[key]) : null;
}

function compare(fact: Fact, [from, to]: string[]): number {
  return fact.kind === "hour" ? Number(from) - Number(to) : from.localeCompare(to);
}

function readCondition(field: string, condition: unknown, vocabulary: Vocabulary): Row {
  const fact = vocabulary.get(field);
  if (!fact) throw new NotShown(`It names “${field}”, which is not among the facts that the builder knows.`);
  if (!isObject(condition)) throw new NotShown(`The condition on “${fact.title}” has no explicit operator.`);
  for (const operator of OPERATORS[fact.kind]) {
    const value = readOperands(fact, operator, condition);
    if (value !== null) return { field, operator: operator.name, value };
  }
  throw new NotShown(whyNotShown(fact, condition));
}

function whyNotShown(fact: Fact, condition: Json): string {
  const ordered = Object.keys(condition).some((key) => ["$gt", "$gte", "$lt", "$lte"].includes(key));
  if (ordered && !("$exists" in condition)) return `The comparison on “${fact.title}” has no "$exists": true beside it.`;
  return `The condition on “${fact.title}” (${Object.keys(condition).join(", ") || "empty"}) has no row in the builder.`;
}

/**
 * Give the row's value if the condition is exactly what this operator writes, else null.
 *
 * A window that ends before it begins is written as an `$or`; in one comparison it never matches and is no window.
 */
function readOperands(fact: Fact, operator: Operator, condition: Json): string | string[] | null {
  const { $exists: guard, ...rest } = condition;
  const given = operator.guarded || (operator.window && guard === true) ? rest : condition;
  if (operator.guarded && guard !== true) return null;
  if (Object.keys(given).sort().join() !== [...operator.keys].sort().join()) return null;
  if (operator.constant !== undefined) return given[operator.keys[0]] === operator.constant ? "" : null;
  return readValues(fact, operator, operator.keys.map((key) => given[key]));
}

function readValues(fact: Fact, operator: Operator, operands: unknown[]): string | string[] | null {
  const many = operator.shape === "many";
  if (many && !(Array.isArray(operands[0]) && operands[0].length)) return null;
  const texts = (many ? (operands[0] as unknown[]) : operands).map((value) => readValue(fact.kind, value));
  if (texts.includes(null) || (operator.window && compare(fact, texts as string[]) >= 0)) return null;
  return operator.shape === "one" ? texts[0] : (texts as string[]);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
