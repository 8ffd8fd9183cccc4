/**
 * The rule as rows and groups, the shape that the builder edits.
 *
 * A row's value is text as its controls hold it: one text, or a list of texts; of a row about behaviour, a draft. `valuesOf` gives the
 * list that the operator's shape asks for, so that changing the operator loses nothing that fits.
 */

import { type Draft, NEW_DID, NEW_SEQ, isDraft, isSeq } from "./behaviour";
import { type Operator, operatorOf } from "./operators";
import type { Fact, Vocabulary } from "./vocabulary";

export type Combinator = "and" | "or" | "nor";

export interface Row {
  id?: string;
  field: string;
  operator: string;
  value: string | string[] | Draft;
}

export interface Group {
  id?: string;
  combinator: Combinator;
  rules: (Row | Group)[];
}

export const EMPTY: Group = { combinator: "and", rules: [] };

export function isGroup(node: Row | Group): node is Group {
  return "rules" in node;
}

/** Find what a row is about, or null while it names no known fact or operator. */
export function meaningOf(row: Row, vocabulary: Vocabulary): { fact: Fact; operator: Operator } | null {
  const fact = vocabulary.get(row.field);
  const operator = fact && operatorOf(fact.kind, row.operator);
  return fact && operator ? { fact, operator } : null;
}

/** Find what a row about behaviour says; a new one, while it says something else. */
export function draftOf(row: Row, fact: Fact): Draft | null {
  if (fact.kind !== "did" && fact.kind !== "seq") return null;
  const seq = fact.kind === "seq";
  return isDraft(row.value) && isSeq(row.value) === seq ? row.value : seq ? NEW_SEQ : NEW_DID;
}

export function valuesOf(row: Row, operator: Operator): string[] {
  if (isDraft(row.value)) return [];
  const given = Array.isArray(row.value) ? row.value : [row.value ?? ""];
  if (operator.shape === "none") return [];
  if (operator.shape === "many") return given.filter((value) => value !== "");
  return operator.shape === "one" ? [given[0] ?? ""] : [given[0] ?? "", given[1] ?? ""];
}
