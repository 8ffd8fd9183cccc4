/**
 * The rule as rows and groups, the shape that the builder edits.
 *
 * A row's value is text as its controls hold it: one text, or a list of texts. `valuesOf` gives the
 * list that the operator's shape asks for, so that changing the operator loses nothing that fits.
 */

import { type Operator, operatorOf } from "./operators";
import type { Fact, Vocabulary } from "./vocabulary";

export type Combinator = "and" | "or" | "nor";

export interface Row {
  id?: string;
  field: string;
  operator: string;
  value: string | string[];
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

export function valuesOf(row: Row, operator: Operator): string[] {
  const given = Array.isArray(row.value) ? row.value : [row.value ?? ""];
  if (operator.shape === "none") return [];
  if (operator.shape === "many") return given.filter((value) => value !== "");
  return operator.shape === "one" ? [given[0] ?? ""] : [given[0] ?? "", given[1] ?? ""];
}
