/**
 * The section of a page in which receipts are checked. In: results. Out: one headline in a live region, with every
 * sentence that matters when something fails, and below it each receipt with its steps. A mark is a sign and a word,
 * never a colour alone. Whatever a file says becomes text, never markup.
 */

import type { Result, State, Step, Verdict } from "./checks";
import type { Receipt } from "./receipt";
import { sentenceOf, type Words } from "./words";

const SIGNS: Record<State, string> = { ok: "✓", failed: "✗", unchecked: "–" };
const STATES: Record<Verdict, State> = {
  none: "failed", fails: "failed", pending: "unchecked", unsure: "unchecked", mostly: "ok", holds: "ok",
};
const WORST_FIRST: Verdict[] = ["none", "fails", "unsure", "pending", "mostly", "holds"];

type Child = Node | string;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name, attributes: Record<string, string> = {}, ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export interface View {
  root: HTMLElement;
  input: HTMLInputElement;
  zone: HTMLElement;
  say(state: State, ...sentences: string[]): void;
  wait(): void;
  show(results: Result[], title: string): void;
}

export function viewOf(words: Words, language: string, id: string): View {
  const input = element("input", { type: "file", id: `${id}-file`, accept: "application/json,.json", "aria-describedby": `${id}-hint` });
  const zone = element("div", { class: "verify-zone" },
    element("label", { for: `${id}-file` }, words.choose), input, element("p", { id: `${id}-hint`, class: "verify-hint" }, words.drop));
  const answer = element("div", { class: "verify-answer", id: `${id}-answer`, role: "status", "aria-live": "polite" });
  const steps = element("div", { class: "verify-receipts" });

  function say(state: State, headline: string, ...sentences: string[]): void {
    answer.className = `verify-answer verify-${state}`;
    answer.replaceChildren(
      element("p", { class: "verify-headline" }, sign(state), element("strong", {}, headline)),
      ...sentences.map((sentence) => element("p", {}, sentence)),
    );
    steps.replaceChildren();
  }

  function wait(): void {
    answer.className = "verify-answer verify-waiting";
    answer.replaceChildren(element("p", {}, words.checking));
    steps.replaceChildren();
  }

  function show(results: Result[], title: string): void {
    const [state, headline] = summed(results, words);
    const failed = results.flatMap((one) => one.steps.filter((step) => step.state === "failed"));
    say(state, headline, ...new Set(failed.map((step) => sentenceOf(step, words))));
    if (title) answer.append(element("p", { class: "verify-title" }, title));
    steps.replaceChildren(...results.filter(({ receipt }) => receipt).map((one) => detailsOf(one, words, language, results.length === 1)));
  }

  return { root: element("div", { class: "verify" }, zone, answer, steps), input, zone, say, wait, show };
}

/** Return the short mark that stands beside a button: its sign, a word, and a link to the whole answer. */
export function markOf(verdict: Verdict, words: Words, id: string): HTMLElement {
  const state = STATES[verdict];
  const link = element("a", { href: `#${id}-answer` }, words.details);
  return element("span", { class: `verify-beside verify-${state}` }, sign(state), `${words.verdicts[verdict][1]} · `, link);
}

export function worstOf(results: Result[]): Verdict {
  const verdicts = results.map(({ verdict }) => verdict);
  return WORST_FIRST.find((one) => verdicts.includes(one)) ?? "none";
}

function summed(results: Result[], words: Words): [State, string] {
  const [only] = results;
  if (!only) return ["failed", words.none];
  if (results.length === 1) return [STATES[only.verdict], words.verdicts[only.verdict][0]];
  const states = results.map(({ verdict }) => STATES[verdict]);
  const count = (state: State) => states.filter((one) => one === state).length;
  const state = count("failed") ? "failed" : count("unchecked") ? "unchecked" : "ok";
  return [state, words.counted(count("ok"), results.length, count("failed"))];
}

function detailsOf(result: Result, words: Words, language: string, alone: boolean): HTMLElement {
  const state = STATES[result.verdict];
  const details = element("details", { class: `verify-receipt verify-${state}` },
    element("summary", {}, sign(state), alone ? words.checked : words.verdicts[result.verdict][0]),
    element("p", { class: "verify-decided" }, decidedIn(result.receipt!, words, language)),
    element("ol", {}, ...result.steps.map((step) => itemOf(step, words))));
  details.open = alone || state === "failed";
  return details;
}

function itemOf(step: Step, words: Words): HTMLElement {
  return element("li", { class: `verify-step verify-${step.state}` },
    sign(step.state), element("strong", {}, `${words.states[step.state]}: `), sentenceOf(step, words));
}

/** Say what is proved: the moment and the answers, from the columns that are hashed and not from the words around them. */
function decidedIn({ entries }: Receipt, words: Words, language: string): string {
  const { at } = entries[entries.length - 1]!.clear;
  const answers = entries.map(({ clear }) => `${clear.purpose}: ${words.actions[String(clear.action)] ?? clear.action}`);
  return `${words.of(momentOf(String(at), language))} · ${answers.join(", ")}`;
}

function momentOf(at: string, language: string): string {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return at;
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(moment);
}

function sign(state: State): HTMLElement {
  return element("span", { class: "verify-sign", "aria-hidden": "true" }, SIGNS[state]);
}
