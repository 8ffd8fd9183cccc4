/**
 * One textarea made into a builder.
 *
 * The textarea stays the form's field: it moves under a "JSON" disclosure, keeps its name and its text, and can be
 * edited there. A rule that the builder cannot show is left untouched and shown as text, with the reason.
 */

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { type RuleGroupType, prepareRuleGroup } from "react-querybuilder";
import { Builder } from "./builder";
import { NotShown, fromRule } from "./from-rule";
import { Gallery } from "./gallery";
import type { Group } from "./query";
import { Reach } from "./reach";
import { toRule } from "./to-rule";
import { unfinishedIn } from "./unfinished";
import type { Vocabulary } from "./vocabulary";

/** What the text of a rule is to the builder: rows, or a reason to leave it alone. */
type Reading = { query: Group } | { reason: string; broken: boolean };

interface WidgetProps {
  textarea: HTMLTextAreaElement;
  vocabulary: Vocabulary;
  problem: Problem;
}

/** Holds what stands in the way of saving, for the guard of the form. */
export interface Problem {
  text: string | null;
}

/** Make the textarea a builder; the returned value always says what stands in the way of saving. */
export function enhance(textarea: HTMLTextAreaElement, vocabulary: Vocabulary): Problem {
  const problem: Problem = { text: null };
  const host = document.createElement("div");
  host.className = "rule-builder-root";
  textarea.after(host);
  if (!textarea.labels?.length) textarea.setAttribute("aria-label", "Rule as JSON");
  render(<Widget textarea={textarea} vocabulary={vocabulary} problem={problem} />, host);
  return problem;
}

function Widget({ textarea, vocabulary, problem }: WidgetProps) {
  const [reading, setReading] = useState(() => read(textarea.value, vocabulary));
  problem.text = problemOf(reading, vocabulary);
  useEffect(() => {
    const reread = () => setReading(read(textarea.value, vocabulary));
    textarea.addEventListener("input", reread);
    return () => textarea.removeEventListener("input", reread);
  }, [textarea, vocabulary]);
  const change = (query: Group) => {
    write(textarea, query, vocabulary);
    setReading({ query });
  };
  const replace = (text: string) => {
    textarea.value = text;
    textarea.dispatchEvent(new Event("change", { bubbles: true }));
    setReading(read(text, vocabulary));
  };
  const { recipesUrl, reachUrl } = textarea.dataset;
  return (
    <div class="rule-builder">
      {recipesUrl && <Gallery url={recipesUrl} text={textarea.value} onChoose={replace} />}
      {"query" in reading ? <Builder vocabulary={vocabulary} query={reading.query} onChange={change} /> : <AsText {...reading} text={textarea.value} />}
      {reachUrl && <Reach textarea={textarea} text={textarea.value} ready={problem.text === null} />}
      <Disclosure textarea={textarea} />
    </div>
  );
}

function AsText({ reason, broken, text }: { reason: string; broken: boolean; text: string }) {
  return (
    <div class="rule-builder-text">
      <p class={broken ? "rule-builder-message" : "rule-builder-note"}>{broken ? reason : `This rule is kept as JSON. ${reason}`}</p>
      {!broken && <pre tabIndex={0} aria-label="The rule as JSON">{text}</pre>}
    </div>
  );
}

/** Hold the textarea itself, moved here with whatever other scripts know about it. */
function Disclosure({ textarea }: { textarea: HTMLTextAreaElement }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => place.current?.append(textarea), [textarea]);
  return (
    <details class="rule-builder-json">
      <summary>JSON</summary>
      <div ref={place} />
    </details>
  );
}

function read(text: string, vocabulary: Vocabulary): Reading {
  try {
    const query = fromRule(text.trim() ? JSON.parse(text) : {}, vocabulary);
    return { query: prepareRuleGroup(query as RuleGroupType) as Group };
  } catch (error) {
    if (error instanceof SyntaxError) return { reason: `This is not valid JSON: ${error.message}.`, broken: true };
    if (error instanceof NotShown) return { reason: error.message, broken: false };
    throw error;
  }
}

function write(textarea: HTMLTextAreaElement, query: Group, vocabulary: Vocabulary): void {
  textarea.value = JSON.stringify(toRule(query, vocabulary), null, 2);
  textarea.dispatchEvent(new Event("change", { bubbles: true }));
}

function problemOf(reading: Reading, vocabulary: Vocabulary): string | null {
  if (!("query" in reading)) return reading.broken ? reading.reason : null;
  const [first] = unfinishedIn(reading.query, vocabulary).values();
  return first ?? null;
}
