/**
 * Receipts are checked in the visitor's own browser.
 *
 * <section data-verify-receipt data-href="/.well-known/consent-ledger.json"><p data-verify-fallback>…</p></section>
 * <button type="button" data-verify-href="/privacy/receipts/…" hidden>Check</button>
 * <script src="…/verify.js" defer></script>
 *
 * The section gets a file chooser in the place of its fallback (without one, of everything in it). Each button, wherever
 * it stands, is shown, fetches its receipt, and has it checked in the first section. The language is the section's own.
 */

import { type Result, check } from "./checks";
import { type Ask, askAt } from "./published";
import { type View, markOf, viewOf, worstOf } from "./view";
import { type Words, wordsFor } from "./words";

export { canonical } from "./canonical";
export { check, hashOf, hashOfCheckpoint } from "./checks";
export { leadsTo } from "./merkle";
export { askAt } from "./published";

const MOST_BYTES = 10 * 1024 * 1024;

interface Desk {
  view: View;
  words: Words;
  id: string;
  ask: () => Ask;
  turn: number;
}

function open(section: HTMLElement, number: number): Desk {
  const language = section.closest<HTMLElement>("[lang]")?.lang || navigator.language;
  const id = `verify-receipt-${number}`;
  const words = wordsFor(language);
  const spoken = navigator.languages.find((one) => one.split("-")[0] === language.split("-")[0]) ?? language; // en-GB writes dates unlike en-US
  const view = viewOf(words, spoken, id);
  const fallback = section.querySelector("[data-verify-fallback]");
  if (fallback) fallback.replaceWith(view.root);
  else section.replaceChildren(view.root);
  const desk: Desk = { view, words, id, turn: 0, ask: () => askAt(section.dataset.href ?? "/.well-known/consent-ledger.json", location.href) };
  takeFiles(desk);
  return desk;
}

function takeFiles(desk: Desk): void {
  const { input, zone } = desk.view;
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) void checkFile(desk, file);
  });
  input.addEventListener("click", () => (input.value = "")); // so that the same file can be chosen again
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("verify-over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("verify-over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("verify-over");
    const [file] = event.dataTransfer?.files ?? [];
    if (file) void checkFile(desk, file);
  });
}

async function checkFile(desk: Desk, file: File): Promise<void> {
  if (file.size > MOST_BYTES) return void refuse(desk, desk.words.tooLarge, file.name);
  let content: unknown;
  try {
    content = JSON.parse(await file.text());
  } catch {
    return void refuse(desk, desk.words.unreadable, file.name);
  }
  await checkAll(desk, content, file.name);
}

/** Check one receipt, or a list of them as the history hands it out; null when another check has begun since. */
async function checkAll(desk: Desk, content: unknown, title: string): Promise<Result[] | null> {
  const turn = ++desk.turn;
  desk.view.wait();
  const ask = desk.ask();
  const results: Result[] = [];
  for (const one of Array.isArray(content) ? content : [content]) results.push(await check(one, ask));
  if (turn !== desk.turn) return null;
  desk.view.show(results, title);
  return results;
}

function refuse(desk: Desk, sentence: string, title: string): void {
  desk.turn++;
  desk.view.say("failed", sentence, title);
}

async function checkBeside(desk: Desk, button: HTMLButtonElement): Promise<void> {
  if (button.nextElementSibling?.matches(".verify-beside")) button.nextElementSibling.remove();
  try {
    const response = await fetch(button.dataset.verifyHref!, { cache: "no-store", credentials: "same-origin", headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(response.statusText);
    const results = await checkAll(desk, await response.json(), "");
    if (results) button.after(markOf(worstOf(results), desk.words, desk.id));
  } catch {
    refuse(desk, desk.words.notFetched, "");
    button.after(markOf("unsure", desk.words, desk.id));
  }
}

function start(): void {
  const [desk] = [...document.querySelectorAll<HTMLElement>("[data-verify-receipt]")].map(open);
  if (!desk) return;
  document.querySelectorAll<HTMLElement>("[data-verify-href]").forEach((button) => (button.hidden = false));
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("[data-verify-href]");
    if (button) void checkBeside(desk, button);
  });
}

if (typeof document !== "undefined") {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
}
