/**
 * What a rule may name. In: the vocabulary document that the admin serves
 * (`{"facts": [{name, title, type, group, purposes, options}], "segments": [{key, title}]}`).
 * Out: one `Fact` per choice of the builder, in the order of the groups.
 *
 * - Each date fact X brings `X.days_ago`, a number, right behind it.
 * - Membership in segments is one more fact, of kind `segments`, when there are any segments.
 * - What somebody did is two more facts, of kinds `did` and `seq`, where the rule may ask for it.
 * - An option is a plain value or `{key, title}`.
 */

export type Kind = "text" | "number" | "boolean" | "date" | "list" | "segments" | "time" | "hour" | "did" | "seq";

export interface Option {
  key: string;
  title: string;
}

/** An event that rules may ask for; `properties` maps a path to its type as far as that is known. */
export interface EventName {
  key: string;
  title: string;
  properties: Record<string, string>;
}

export interface Fact {
  name: string;
  title: string;
  kind: Kind;
  group: string;
  purposes: string[];
  options: Option[];
  events?: EventName[];
}

export interface VocabularyDocument {
  facts: {
    name: string;
    title?: string;
    type: string;
    group?: string;
    purposes?: string[];
    options?: (string | number | { key: string | number; title?: string })[];
  }[];
  segments: { key: string; title?: string }[];
  behaviour?: boolean;
  events?: EventName[];
}

export type Vocabulary = ReadonlyMap<string, Fact>;

export const GROUPS = ["Context", "Traits", "Behaviour", "Segments"];

/** The facts whose kind is finer than their type: the visitor's local time wraps over midnight. */
const KIND_OF_NAME: Record<string, Kind> = { "context.time": "time", "context.hour": "hour" };
const KINDS = new Set(["text", "number", "boolean", "date", "list"]);

export function readVocabulary(document: VocabularyDocument): Vocabulary {
  const facts = document.facts.filter((fact) => KINDS.has(fact.type)).flatMap(withDaysAgo);
  const named = document.segments.length ? [...facts, segmentsFact(document)] : facts;
  const all = document.behaviour ? [...named, ...behaviourFacts(document)] : named;
  return new Map(all.sort((a, b) => place(a) - place(b)).map((fact) => [fact.name, fact]));
}

/** Name a fact with its purposes, as the list of facts shows it. */
export function labelOf(fact: Fact): string {
  return [fact.title, ...fact.purposes].join(" · ");
}

export function titleOfOption(fact: Fact, key: string): string {
  return fact.options.find((option) => option.key === key)?.title ?? key;
}

function withDaysAgo(raw: VocabularyDocument["facts"][number]): Fact[] {
  const fact: Fact = {
    name: raw.name,
    title: raw.title || raw.name,
    kind: KIND_OF_NAME[raw.name] ?? (raw.type as Kind),
    group: raw.group || "Traits",
    purposes: raw.purposes ?? [],
    options: (raw.options ?? []).map(readOption),
  };
  if (fact.kind !== "date") return [fact];
  return [fact, { ...fact, name: `${fact.name}.days_ago`, title: `${fact.title}, days ago`, kind: "number", options: [] }];
}

function readOption(option: string | number | { key: string | number; title?: string }): Option {
  if (typeof option !== "object") return { key: String(option), title: String(option) };
  return { key: String(option.key), title: option.title || String(option.key) };
}

function segmentsFact(document: VocabularyDocument): Fact {
  const options = document.segments.map(readOption);
  return { name: "segments", title: "Segments", kind: "segments", group: "Segments", purposes: [], options };
}

function behaviourFacts(document: VocabularyDocument): Fact[] {
  const known = { group: "Behaviour", purposes: [], options: [], events: document.events ?? [] };
  return [
    { name: "$did", title: "What somebody did", kind: "did", ...known },
    { name: "$seq", title: "What somebody did in order", kind: "seq", ...known },
  ];
}

function place(fact: Fact): number {
  const index = GROUPS.indexOf(fact.group);
  return index < 0 ? GROUPS.length : index;
}
