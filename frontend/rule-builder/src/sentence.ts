/**
 * A rule as one English sentence: "Orders is at least 5 and (country is one of DE, AT, or device is mobile)".
 */

import { phraseOfBehaviour } from "./behaviour";
import { type Operator } from "./operators";
import { type Group, type Row, draftOf, isGroup, meaningOf, valuesOf } from "./query";
import { missingInRow } from "./unfinished";
import { type Fact, type Vocabulary, titleOfOption } from "./vocabulary";

/** How the title of a relative date ends; in a sentence these words follow the number. */
const AGO = ", days ago";

export function sentenceOf(root: Group, vocabulary: Vocabulary): string {
  if (!root.rules.length) return "Always: there is no condition.";
  const sentence = joined(root, vocabulary);
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}${sentence.endsWith("…") ? "" : "."}`;
}

function joined(group: Group, vocabulary: Vocabulary): string {
  const parts = group.rules.map((node) => (isGroup(node) ? nested(node, vocabulary) : phraseOf(node, vocabulary)));
  if (group.combinator === "nor") return `none of these: ${parts.join("; ")}`;
  return parts.join(group.combinator === "and" ? " and " : ", or ");
}

function nested(group: Group, vocabulary: Vocabulary): string {
  return group.rules.length ? `(${joined(group, vocabulary)})` : "(an empty group)";
}

function phraseOf(row: Row, vocabulary: Vocabulary): string {
  const meaning = meaningOf(row, vocabulary);
  if (!meaning) return "…";
  const draft = draftOf(row, meaning.fact);
  if (draft) return phraseOfBehaviour(draft);
  const name = decapitalized(meaning.fact.title);
  if (missingInRow(row, vocabulary)) return `${name} ${meaning.operator.label} …`;
  return phrase(name, meaning, valuesOf(row, meaning.operator).map((text) => spoken(meaning.fact, text)));
}

function phrase(name: string, { fact, operator }: { fact: Fact; operator: Operator }, values: string[]): string {
  if (name.endsWith(AGO) && values.length) return `${phrase(name.slice(0, -AGO.length), { fact, operator }, values)} days ago`;
  if (fact.kind === "segments") return `the visitor is ${operator.label} the segments ${values.join(", ")}`;
  if (operator.label.includes("…")) return `${name} ${operator.label.replace("…", values[0])} ${values[1]}`;
  if (operator.shape === "two") return `${name} ${operator.label} ${values.join(" and ")}`;
  return [name, operator.label, values.join(", ")].filter(Boolean).join(" ");
}

function spoken(fact: Fact, text: string): string {
  if (fact.kind === "date") return `${text.replace("T", " ")} UTC`;
  return titleOfOption(fact, text);
}

/** Lower the first letter of a title inside a sentence, unless it begins with an abbreviation. */
function decapitalized(title: string): string {
  return /^\p{Lu}(\P{Lu}|$)/u.test(title) ? title.charAt(0).toLowerCase() + title.slice(1) : title;
}
