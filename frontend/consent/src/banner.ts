/**
 * The banner as a thing on the page: shown, answered, left; and the one line that reminds or confirms.
 *
 * It is a dialog that is not modal: the page stays usable, the focus stays where it is until somebody asks for the
 * banner. Escape decides nothing. What was chosen stays chosen, whatever goes wrong.
 */

import { type Choices, Problem, isGranted, optional, reminded } from "./api";
import { type Mode, asked, decide, reread } from "./consent";
import css from "./consent.css";
import { make, style } from "./dom";
import { TITLE, drafted, first, privacyLink, second } from "./layers";
import { options, parsed, privacyPage } from "./page";
import { language, words } from "./words";

const host = document.createElement("tessera-consent");
const shadow = host.attachShadow({ mode: "open" });
const root = document.documentElement;
const problem = make("p", { class: "problem", role: "alert" });
const content = make("div", { class: "content" });
const dialog = make(
  "div", { class: "card", role: "dialog", "aria-labelledby": TITLE, tabindex: "-1", keydown: onKey }, problem, content,
);
const news = make("div", { role: "status", class: "news" }); // in the page before it says something, so that it is read out
const place = make("div", { class: "place" }, news);
const night = matchMedia("(prefers-color-scheme: dark)");

let layer: 1 | 2 = 1;
let draft: Choices = {};
let busy = false;
let opener: Element | null = null;

/** Put the host first on the page, after a skip link: by keyboard one meets the question before what it is about. */
export async function install(): Promise<void> {
  await parsed();
  host.lang = language;
  style(shadow, css);
  shadow.append(place);
  light();
  night.addEventListener("change", light);
  // outside of the shadow root: accessibility checkers take a link in there for one before the page's skip link
  host.append(make("a", { href: privacyPage, slot: "privacy" }, words.privacy));
  const skip = document.body.firstElementChild;
  if (skip?.matches("a[href^='#']")) skip.after(host);
  else document.body.prepend(host);
}

/** Follow the visitor's day and night, unless the page has but one of them. */
function light(): void {
  place.classList.toggle("dark", options.scheme ? options.scheme === "dark" : night.matches);
}

/** Ask, without taking the focus from what somebody is doing. */
export function ask(): void {
  if (!asked) return;
  draft = drafted(asked);
  show(1);
}

/** Open the choices because somebody wants them; the focus goes there, and back afterwards. */
export async function open(): Promise<void> {
  if (!host.contains(document.activeElement)) opener = document.activeElement;
  const known = asked ?? (await reread().catch(() => null));
  if (!known) return remark(words.unread, privacyLink());
  if (!dialog.isConnected) draft = drafted(known);
  show(2);
  focus(`#${TITLE}`);
}

/** Say in one line what is allowed, for whoever has not been asked for long. */
export function remind(): void {
  if (!asked) return;
  const { notice, purposes } = asked;
  const allowed = optional(notice).filter((one) => isGranted(purposes, one)).map(({ title }) => title);
  remark(`${words.reminder}${allowed.join(", ") || words.nothing}.`, privacyLink());
  reminded(asked).catch((error) => console.warn("The reminder comes again:", error));
}

/** Record an answer; what went wrong with it is said over what it was chosen in, or over the first layer. */
export async function answer(choices: Choices, mode: Mode): Promise<void> {
  if (busy) return;
  const taken = asked ? optional(asked.notice).filter((one) => isGranted(asked!.purposes, one) && choices[one.key] === false) : [];
  busy = true;
  dialog.setAttribute("aria-busy", "true");
  try {
    await decide(choices, mode);
    close();
    if (taken.length) offerUndo(Object.fromEntries(taken.map(({ key }) => [key, true])));
    else confirm();
  } catch (error) {
    complain(error);
  } finally {
    busy = false;
    dialog.removeAttribute("aria-busy");
  }
}

/** Say what went wrong; a superseded notice is shown anew, with the choices that it still has. */
export function complain(error: unknown): void {
  console.warn("The decision was not recorded:", error);
  if (!asked) return remark(words.unread, privacyLink());
  const superseded = error instanceof Problem && error.notice;
  const kept = dialog.isConnected ? draft : drafted(asked);
  draft = Object.fromEntries(optional(asked.notice).map(({ key }) => [key, !!kept[key]]));
  if (superseded || !dialog.isConnected) show(dialog.isConnected ? layer : 1);
  problem.textContent = superseded ? words.superseded : words.failed;
  dialog.scrollTop = 0;
}

function show(which: 1 | 2): void {
  if (!asked) return;
  const answers = { decide: answer, choose: () => (show(2), focus(`#${TITLE}`)), leave };
  layer = which;
  problem.textContent = "";
  remark();
  content.replaceChildren(...(which === 1 ? first(asked, answers) : second(asked, draft, answers)));
  if (!dialog.isConnected) place.append(dialog);
  dialog.scrollTop = 0;
  root.style.scrollPaddingBottom = `${dialog.offsetHeight}px`; // what gets the focus scrolls clear of the banner
}

function close(): void {
  dialog.remove();
  root.style.scrollPaddingBottom = "";
  if (opener instanceof HTMLElement) opener.focus();
  opener = null;
}

function leave(): void {
  if (!asked?.ask.needed) return close();
  show(1);
  focus(".choose");
}

function onKey(event: Event): void {
  if ((event as KeyboardEvent).key !== "Escape") return;
  event.stopPropagation();
  if (layer === 2) leave();
}

const SEALED = 600_000; // milliseconds: as long as what was withdrawn can be had back

/** Offer to take a withdrawal back, while what it seals is not deleted. */
function offerUndo(withdrawn: Choices): void {
  remark(words.withdrawn, make("button", { type: "button", class: "plain", click: () => void answer(withdrawn, "choose") }, words.undo));
  const offer = news.firstChild;
  setTimeout(() => news.firstChild === offer && remark(), SEALED);
}

/** Say that it is done to who cannot see it. */
function confirm(): void {
  news.replaceChildren(make("p", { class: "unseen" }, words.saved));
}

/** Show one line that can be put away, or none. */
function remark(text?: string, ...more: HTMLElement[]): void {
  const dismiss = make("button", { type: "button", class: "plain", click: () => remark() }, words.close);
  news.replaceChildren(...(text ? [make("div", { class: "card line" }, make("p", {}, text), ...more, dismiss)] : []));
}

function focus(selector: string): void {
  content.querySelector<HTMLElement>(selector)?.focus();
}
