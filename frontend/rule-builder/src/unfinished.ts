/**
 * What is missing in a row or group: a sentence for the editor, or null when nothing is.
 */

import { missingInBehaviour } from "./behaviour";
import type { Operator } from "./operators";
import { type Group, type Row, draftOf, isGroup, meaningOf, valuesOf } from "./query";
import { writeValue } from "./values";
import type { Fact, Vocabulary } from "./vocabulary";

const WANTED: Partial<Record<Fact["kind"], string>> = {
  number: "Enter a number.",
  hour: "Enter an hour from 0 to 23.",
  date: "Enter a date and time.",
  time: "Enter a time as HH:MM.",
  segments: "Choose at least one segment.",
};

export function missingInRow(row: Row, vocabulary: Vocabulary): string | null {
  if (!row.field) return "Choose a fact.";
  const meaning = meaningOf(row, vocabulary);
  if (!meaning) return vocabulary.has(row.field) ? "Choose an operator." : `“${row.field}” is not a known fact.`;
  const draft = draftOf(row, meaning.fact);
  if (draft) return missingInBehaviour(draft);
  return missingInValues(valuesOf(row, meaning.operator), meaning);
}

export function missingInGroup(group: Group): string | null {
  return group.rules.length ? null : "Add a condition to this group, or remove it.";
}

/** Find every unfinished row and group, in reading order (id → sentence); an empty root is a finished rule. */
export function unfinishedIn(root: Group, vocabulary: Vocabulary): Map<string, string> {
  const found = new Map<string, string>();
  const note = (node: Row | Group, missing: string | null) => missing && found.set(node.id ?? "", missing);
  const visit = (node: Row | Group): void => {
    if (!isGroup(node)) return void note(node, missingInRow(node, vocabulary));
    if (node !== root) note(node, missingInGroup(node));
    node.rules.forEach(visit);
  };
  visit(root);
  return found;
}

function missingInValues(values: string[], { fact, operator }: { fact: Fact; operator: Operator }): string | null {
  const wanted = WANTED[fact.kind] ?? "Enter a value.";
  if (operator.shape === "many" && !values.length) return WANTED[fact.kind] ?? "Add at least one value.";
  if (values.some((text) => writeValue(fact.kind, text) === null)) return wanted;
  const stranger = fact.kind === "segments" && values.find((key) => !fact.options.some((option) => option.key === key));
  if (stranger) return `“${stranger}” is not a known segment.`;
  return operator.shape === "two" ? missingInRange(values, { fact, operator }) : null;
}

function missingInRange([from, to]: string[], { fact, operator }: { fact: Fact; operator: Operator }): string | null {
  const [low, high] = [writeValue(fact.kind, from)!, writeValue(fact.kind, to)!];
  if (operator.window) return low === high ? "Beginning and end are the same: this never matches." : null;
  const empty = operator.keys[1] === "$lt" ? low >= high : low > high;
  return empty ? "The end lies before the beginning: this never matches." : null;
}
