/**
 * Every `textarea.rule-builder` of the page, made into a builder: now, and when a row of a formset is added.
 *
 * - `data-vocabulary-url` names what a rule may name; it is fetched once per page. Without it, or when it
 *   cannot be had, the textarea stays a plain textarea, with a sentence saying so.
 * - Empty forms of formsets (`__prefix__`) are templates and are left alone.
 * - A form with an unfinished rule is not sent: the row is marked and focused, and the form says why on top.
 */

import { type Problem, enhance } from "./widget";
import { type Vocabulary, type VocabularyDocument, readVocabulary } from "./vocabulary";

const SELECTOR = "textarea.rule-builder";
const problems = new WeakMap<HTMLTextAreaElement, Problem>();
const begun = new WeakSet<HTMLTextAreaElement>();
const vocabularies = new Map<string, Promise<Vocabulary>>();

export function enhanceAll(): void {
  for (const textarea of document.querySelectorAll<HTMLTextAreaElement>(SELECTOR)) {
    if (begun.has(textarea) || textarea.name.includes("__prefix__") || textarea.closest(".empty-form")) continue;
    begun.add(textarea);
    void begin(textarea);
  }
}

async function begin(textarea: HTMLTextAreaElement): Promise<void> {
  let vocabulary: Vocabulary;
  try {
    vocabulary = await vocabularyAt(textarea.dataset.vocabularyUrl ?? "");
  } catch (error) {
    explain(textarea, `The list of facts could not be loaded (${(error as Error).message}). The rule can be edited as JSON.`);
    return;
  }
  problems.set(textarea, enhance(textarea, vocabulary));
}

function vocabularyAt(url: string): Promise<Vocabulary> {
  const known = vocabularies.get(url);
  if (known) return known;
  const coming = fetchVocabulary(url);
  vocabularies.set(url, coming);
  return coming;
}

async function fetchVocabulary(url: string): Promise<Vocabulary> {
  if (!url) throw new Error("the form names no address");
  const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return readVocabulary((await response.json()) as VocabularyDocument);
}

function explain(textarea: HTMLTextAreaElement, sentence: string): void {
  const note = document.createElement("p");
  note.className = "rule-builder-note";
  note.textContent = sentence;
  textarea.before(note);
}

function guard(event: Event): void {
  const form = event.target as HTMLFormElement;
  const textareas = [...form.querySelectorAll<HTMLTextAreaElement>(SELECTOR)].filter((textarea) => !isDeleted(textarea));
  const unfinished = textareas.filter((textarea) => problems.get(textarea)?.text);
  form.querySelector(":scope > .rule-builder-alert")?.remove();
  if (!unfinished.length) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  stop(form, unfinished[0], unfinished.length);
}

/** A row that is marked for deletion takes its rule with it. */
function isDeleted(textarea: HTMLTextAreaElement): boolean {
  const prefix = textarea.name.slice(0, textarea.name.lastIndexOf("-") + 1);
  const box = prefix ? textarea.form?.elements.namedItem(`${prefix}DELETE`) : null;
  return box instanceof HTMLInputElement && box.checked;
}

function stop(form: HTMLFormElement, textarea: HTMLTextAreaElement, count: number): void {
  const alert = document.createElement("p");
  alert.className = "rule-builder-alert";
  alert.setAttribute("role", "alert");
  alert.textContent = `Not saved: ${count === 1 ? "a rule is" : `${count} rules are`} unfinished. ${problems.get(textarea)?.text}`;
  form.prepend(alert);
  focusOn(textarea, alert);
}

/** Focus the unfinished row, or show the alert where the row lies in a folded part of the page. */
function focusOn(textarea: HTMLTextAreaElement, alert: HTMLElement): void {
  const root = textarea.closest(".rule-builder-root") ?? textarea;
  for (let fold = root.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
  root.classList.add("rule-builder-refused");
  const message = root.querySelector(".rule-builder-message");
  if (!message) textarea.closest("details")?.setAttribute("open", "");
  const target = firstControl(message) ?? textarea;
  if (!target.checkVisibility()) return void alert.scrollIntoView({ block: "center" });
  target.focus();
  target.scrollIntoView({ block: "center" });
}

function firstControl(message: Element | null): HTMLElement | null {
  const node = message?.closest(".rule-builder-node");
  return node?.querySelector<HTMLElement>("[aria-invalid]") ?? node?.querySelector<HTMLElement>("select, input, .rule-builder-add") ?? null;
}

document.addEventListener("formset:added", enhanceAll);
document.addEventListener("submit", guard, true);
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", enhanceAll);
else enhanceAll();
