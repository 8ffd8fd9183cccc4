/**
 * Rows and groups to a rule of the condition grammar, in the authoring profile.
 *
 * - An empty builder is the empty rule; a single row stands without a group.
 * - A window over midnight is an `$or` of two comparisons.
 * - An unfinished row is never dropped: it is written as `{"$unfinished": {field, operator, value}}`
 *   (an empty group as `{"$unfinished": {}}`), which every reader of rules refuses and the builder reads back.
 */

import type { Operator } from "./operators";
import { writeBehaviour } from "./behaviour";
import { type Group, type Row, draftOf, isGroup, meaningOf, valuesOf } from "./query";
import { missingInRow } from "./unfinished";
import { type Scalar, writeValue } from "./values";
import type { Vocabulary } from "./vocabulary";

export type Rule = { [key: string]: unknown };

export function toRule(root: Group, vocabulary: Vocabulary): Rule {
  if (!root.rules.length) return {};
  const [only] = root.rules;
  if (root.combinator === "and" && root.rules.length === 1 && !isGroup(only)) return rowToRule(only, vocabulary);
  return groupToRule(root, vocabulary);
}

function groupToRule(group: Group, vocabulary: Vocabulary): Rule {
  const parts = group.rules.map((node) => (isGroup(node) ? groupToRule : rowToRule)(node as never, vocabulary));
  return { [`$${group.combinator}`]: parts.length ? parts : [{ $unfinished: {} }] };
}

function rowToRule(row: Row, vocabulary: Vocabulary): Rule {
  const meaning = meaningOf(row, vocabulary);
  if (!meaning || missingInRow(row, vocabulary)) return { $unfinished: { field: row.field, operator: row.operator, value: row.value } };
  const draft = draftOf(row, meaning.fact);
  if (draft) return writeBehaviour(draft);
  const values = valuesOf(row, meaning.operator).map((text) => writeValue(meaning.fact.kind, text) as Scalar);
  return conditionToRule(row.field, meaning.operator, values);
}

function conditionToRule(field: string, operator: Operator, values: Scalar[]): Rule {
  const [first, second] = operator.keys;
  if (operator.constant !== undefined) return { [field]: { [first]: operator.constant } };
  if (operator.shape === "many") return { [field]: { [first]: values } };
  if (operator.window && values[0] > values[1]) {
    return { $or: [{ [field]: { [first]: values[0] } }, { [field]: { [second]: values[1] } }] };
  }
  const guard = operator.guarded ? { $exists: true } : {};
  return { [field]: { ...guard, ...Object.fromEntries(operator.keys.map((key, index) => [key, values[index]])) } };
}
