/**
 * What somebody did, as a row edits it: one event counted or measured (`$did`), or a sequence of steps (`$seq`).
 *
 * A draft holds text as its controls do. `readDid`/`readSeq` give null for what has no place in the controls, so that
 * the rule stays JSON; `writeBehaviour` is their reverse. Durations are one number and one unit, an ISO 8601 duration
 * in the rule.
 */

type Json = { [key: string]: unknown };

export type Unit = "M" | "H" | "D" | "W";

export interface Duration {
  amount: string;
  unit: Unit | "session" | "ever";
}

export interface Where {
  property: string;
  operator: string;
  value: string;
  kind: "text" | "number" | "boolean";
}

export interface DidDraft {
  event: string;
  /** `count`, or what is measured of the property `of`. */
  measure: string;
  of: string;
  compare: string;
  low: string;
  high: string;
  within: Duration;
  by: string;
  where: Where[];
}

export interface Step {
  event: string;
  absent: boolean;
  where: Where[];
}

export interface SeqDraft {
  steps: Step[];
  gap: Duration;
  since: Duration;
  by: string;
}

export type Draft = DidDraft | SeqDraft;

export const UNITS: [Unit, string][] = [["M", "minutes"], ["H", "hours"], ["D", "days"], ["W", "weeks"]];
export const MEASURES: [string, string][] = [
  ["count", "how often"], ["sum", "the sum of"], ["min", "the least of"], ["max", "the most of"],
  ["distinct", "how many different"], ["first", "the first"], ["last", "the last"],
];
export const COMPARISONS: [string, string, string[]][] = [
  ["gte", "at least", ["$gte"]], ["gt", "more than", ["$gt"]], ["lte", "at most", ["$lte"]], ["lt", "fewer than", ["$lt"]],
  ["eq", "exactly", ["$eq"]], ["between", "between", ["$gte", "$lte"]], ["never", "never", ["$eq"]],
];
export const WHERES: [string, string, string][] = [
  ["eq", "is", "$eq"], ["ne", "is not", "$ne"], ["in", "is one of", "$in"], ["gte", "is at least", "$gte"],
  ["gt", "is more than", "$gt"], ["lte", "is at most", "$lte"], ["lt", "is less than", "$lt"],
];

const EVER: Duration = { amount: "", unit: "ever" };
const SPELLED: [RegExp, Unit][] = [[/^PT(\d+)M$/, "M"], [/^PT(\d+)H$/, "H"], [/^P(\d+)D$/, "D"], [/^P(\d+)W$/, "W"]];

export const NEW_DID: DidDraft = {
  event: "", measure: "count", of: "", compare: "gte", low: "1", high: "", within: { amount: "30", unit: "D" }, by: "", where: [],
};
export const NEW_SEQ: SeqDraft = {
  steps: [{ event: "", absent: false, where: [] }, { event: "", absent: true, where: [] }],
  gap: { amount: "30", unit: "M" }, since: { amount: "1", unit: "D" }, by: "",
};

export function isSeq(draft: Draft): draft is SeqDraft {
  return "steps" in draft;
}

export function isDraft(value: unknown): value is Draft {
  return isObject(value) && ("steps" in value || "measure" in value);
}

// -- reading ----------------------------------------------------------------------------------------

export function readDid(did: unknown): DidDraft | null {
  if (!isObject(did) || typeof did.event !== "string") return null;
  const { event, where, within, by, ...rest } = did;
  const conditions = readWhere(where);
  const duration = readDuration(within, true);
  const measured = readMeasure(rest);
  if (!conditions || !duration || !measured || !(by === undefined || typeof by === "string")) return null;
  return { event, ...measured, within: duration, by: unprefixed(by ?? ""), where: conditions };
}

function readMeasure(rest: Json): Pick<DidDraft, "measure" | "of" | "compare" | "low" | "high"> | null {
  const names = Object.keys(rest);
  if (!names.length) return { measure: "count", of: "", compare: "gte", low: "1", high: "" };
  const [measure] = names;
  const condition = rest[measure];
  if (names.length > 1 || !MEASURES.some(([name]) => name === measure) || !isObject(condition)) return null;
  const { of, ...test } = condition;
  if ((measure === "count") !== (of === undefined)) return null;
  const compared = readComparison(test, measure === "count");
  return compared && { measure, of: unprefixed(String(of ?? "")), ...compared };
}

function readComparison(test: Json, counted: boolean): Pick<DidDraft, "compare" | "low" | "high"> | null {
  if (counted && Object.keys(test).join() === "$eq" && test.$eq === 0) return { compare: "never", low: "0", high: "" };
  for (const [compare, , keys] of COMPARISONS) {
    if (compare === "never" || Object.keys(test).sort().join() !== [...keys].sort().join()) continue;
    const values = keys.map((key) => test[key]);
    if (values.every((value) => typeof value === "number")) return { compare, low: String(values[0]), high: String(values[1] ?? "") };
  }
  return null;
}

function readWhere(where: unknown): Where[] | null {
  if (where === undefined) return [];
  if (!isObject(where)) return null;
  const rows = Object.entries(where).map(([property, condition]) => readOneWhere(property, condition));
  return rows.every((row): row is Where => row !== null) ? rows : null;
}

function readOneWhere(property: string, condition: unknown): Where | null {
  if (property.startsWith("$") || !isObject(condition)) return null;
  const { $exists: guard = true, ...test } = condition;
  const [key, ...more] = Object.keys(test);
  const known = WHERES.find(([, , spelled]) => spelled === key);
  if (!known || more.length || guard !== true) return null;
  const value = test[key];
  const listed = key === "$in" ? value : [value];
  if (!Array.isArray(listed) || !listed.length) return null;
  const kind = typeof listed[0] === "string" ? "text" : (typeof listed[0] as Where["kind"]);
  const wanted = kind === "text" ? "string" : kind;
  if (!["text", "number", "boolean"].includes(kind) || !listed.every((one) => typeof one === wanted)) return null;
  if (listed.some((one) => String(one).includes(",")) && key === "$in") return null;
  return { property: unprefixed(property), operator: known[0], value: listed.join(", "), kind };
}

export function readSeq(seq: unknown): SeqDraft | null {
  if (!isObject(seq) || !Array.isArray(seq.steps) || seq.steps.length < 1) return null;
  const { steps, gap, since, by, ...rest } = seq;
  const read = (steps as unknown[]).map(readStep);
  const [between, back] = [readDuration(gap, false), readDuration(since, false)];
  const known = read.every((step): step is Step => step !== null);
  if (Object.keys(rest).length || !known || !between || !back || !(by === undefined || typeof by === "string")) return null;
  return { steps: read as Step[], gap: between, since: back, by: unprefixed(by ?? "") };
}

function readStep(step: unknown): Step | null {
  if (!isObject(step) || typeof step.event !== "string") return null;
  const { event, absent = false, where, ...rest } = step;
  const conditions = readWhere(where);
  if (Object.keys(rest).length || typeof absent !== "boolean" || !conditions) return null;
  return { event: event as string, absent, where: conditions };
}

function readDuration(text: unknown, session: boolean): Duration | null {
  if (text === undefined) return EVER;
  if (text === "session") return session ? { amount: "", unit: "session" } : null;
  for (const [pattern, unit] of SPELLED) {
    const amount = typeof text === "string" && pattern.exec(text)?.[1];
    if (amount) return { amount, unit };
  }
  return null;
}

// -- writing ----------------------------------------------------------------------------------------

export function writeBehaviour(draft: Draft): Json {
  return isSeq(draft) ? { $seq: writeSeq(draft) } : { $did: writeDid(draft) };
}

function writeDid(draft: DidDraft): Json {
  const [, , keys] = COMPARISONS.find(([name]) => name === draft.compare)!;
  const numbers = draft.compare === "never" ? [0] : [Number(draft.low), Number(draft.high)];
  const test = Object.fromEntries(keys.map((key, index) => [key, numbers[index]]));
  const of = draft.measure === "count" ? {} : { of: prefixed(draft.of) };
  return {
    event: draft.event,
    ...whereOf(draft.where),
    ...named("within", writeDuration(draft.within)),
    ...named("by", draft.by.trim() && prefixed(draft.by)),
    [draft.measure]: { ...of, ...test },
  };
}

function writeSeq(draft: SeqDraft): Json {
  const steps = draft.steps.map((step) => ({ event: step.event, ...whereOf(step.where), ...(step.absent ? { absent: true } : {}) }));
  return {
    steps,
    ...named("gap", writeDuration(draft.gap)),
    ...named("since", writeDuration(draft.since)),
    ...named("by", draft.by.trim() && prefixed(draft.by)),
  };
}

function whereOf(rows: Where[]): Json {
  if (!rows.length) return {};
  return { where: Object.fromEntries(rows.map((row) => [prefixed(row.property), writeTest(row)])) };
}

function writeTest({ operator, value, kind }: Where): Json {
  const [, , key] = WHERES.find(([name]) => name === operator)!;
  const one = (text: string) => (kind === "number" ? Number(text) : kind === "boolean" ? text.trim() === "true" : text.trim());
  return { [key]: operator === "in" ? value.split(",").map((part) => one(part)) : one(value) };
}

function writeDuration({ amount, unit }: Duration): string {
  if (unit === "ever") return "";
  if (unit === "session") return "session";
  return `P${unit === "M" || unit === "H" ? "T" : ""}${Number(amount)}${unit}`;
}

// -- what is missing, and what it says ----------------------------------------------------------------

export function missingInBehaviour(draft: Draft): string | null {
  return isSeq(draft) ? missingInSeq(draft) : missingInDid(draft);
}

function missingInDid(draft: DidDraft): string | null {
  if (!draft.event) return "Choose an event.";
  if (draft.measure !== "count" && !draft.of.trim()) return "Name the property that is measured.";
  const numbers = draft.compare === "between" ? [draft.low, draft.high] : draft.compare === "never" ? [] : [draft.low];
  if (numbers.some((text) => !isNumber(text))) return "Enter a number.";
  if (draft.compare === "between" && Number(draft.low) > Number(draft.high)) return "The end lies before the beginning: this never matches.";
  return missingInDuration(draft.within) ?? missingInWhere(draft.where);
}

function missingInSeq(draft: SeqDraft): string | null {
  if (draft.steps.some((step) => !step.event)) return "Choose an event for each step.";
  if (draft.steps[0].absent) return "The first step is something that happened.";
  if (draft.gap.unit === "ever" && draft.steps.at(-1)!.absent) return "Say after how long the last step counts as missing.";
  return missingInDuration(draft.gap) ?? missingInDuration(draft.since) ?? draft.steps.map((step) => missingInWhere(step.where)).find(Boolean) ?? null;
}

function missingInDuration({ amount, unit }: Duration): string | null {
  if (unit === "ever" || unit === "session") return null;
  return /^\d+$/.test(amount.trim()) && Number(amount) > 0 ? null : "Enter how long, as a whole number.";
}

function missingInWhere(rows: Where[]): string | null {
  for (const { property, operator, value, kind } of rows) {
    if (!property.trim()) return "Name a property.";
    const parts = operator === "in" ? value.split(",") : [value];
    if (parts.some((part) => !part.trim())) return "Enter a value for the property.";
    if (kind === "number" && parts.some((part) => !isNumber(part))) return "Enter a number for the property.";
    if (kind === "boolean" && parts.some((part) => !["true", "false"].includes(part.trim()))) return "Enter true or false.";
  }
  const named = rows.map((row) => row.property.trim());
  return new Set(named).size < named.length ? "Each property is named once." : null;
}

export function phraseOfBehaviour(draft: Draft): string {
  return isSeq(draft) ? phraseOfSeq(draft) : phraseOfDid(draft);
}

function phraseOfDid(draft: DidDraft): string {
  const event = `“${draft.event === "*" ? "anything but page views" : draft.event || "…"}”`;
  const number = draft.compare === "between" ? `${draft.low} and ${draft.high}` : draft.low;
  const compare = COMPARISONS.find(([name]) => name === draft.compare)?.[1] ?? "";
  const measure = MEASURES.find(([name]) => name === draft.measure)?.[1] ?? "";
  const did =
    draft.measure !== "count"
      ? `${measure} ${draft.of || "…"} of ${event} is ${compare} ${number}`
      : draft.compare === "never"
        ? `the visitor never did ${event}`
        : `the visitor did ${event} ${compare} ${number} time${number === "1" ? "" : "s"}`;
  return [did, phraseOfWhere(draft.where), phraseOfDuration("within", draft.within), draft.by && `with one ${draft.by}`].filter(Boolean).join(" ");
}

function phraseOfSeq(draft: SeqDraft): string {
  const steps = draft.steps.map((step) => [step.absent ? `no “${step.event || "…"}”` : `“${step.event || "…"}”`, phraseOfWhere(step.where)].filter(Boolean).join(" "));
  const parts = [`the visitor did ${steps.join(", then ")}`, phraseOfDuration("each within", draft.gap), phraseOfDuration("in the last", draft.since), draft.by && `with the same ${draft.by}`];
  return parts.filter(Boolean).join(" ");
}

function phraseOfWhere(rows: Where[]): string {
  if (!rows.length) return "";
  return `where ${rows.map((row) => `${row.property || "…"} ${WHERES.find(([name]) => name === row.operator)?.[1]} ${row.value || "…"}`).join(" and ")}`;
}

function phraseOfDuration(lead: string, { amount, unit }: Duration): string {
  if (unit === "ever") return "";
  if (unit === "session") return `${lead} this visit`;
  const name = UNITS.find(([key]) => key === unit)?.[1] ?? "";
  return `${lead} ${amount || "…"} ${amount === "1" ? name.slice(0, -1) : name}`;
}

function named(name: string, value: string): Json {
  return value ? { [name]: value } : {};
}

function prefixed(property: string): string {
  return `properties.${property.trim()}`;
}

function unprefixed(property: string): string {
  return property.replace(/^properties\./, "");
}

function isNumber(text: string): boolean {
  return text.trim() !== "" && Number.isFinite(Number(text));
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
