/**
 * The two layers of the question. In: what is asked, and what happens on an answer. Out: their content, as elements.
 *
 * Accepting and refusing are the same button with another word, on both layers. Nothing is on before it was switched on.
 */

import { type Asked, type Choices, type Purpose, isGranted, optional } from "./api";
import type { Mode } from "./consent";
import { make } from "./dom";
import { sendsGpc } from "./page";
import { language, words } from "./words";

export interface Answers {
  decide: (choices: Choices, mode: Mode) => void;
  choose: () => void;
  leave: () => void; // back to the first layer, or away where nothing has to be decided
}

export const TITLE = "title";

export const everything = ({ notice }: Asked, value: boolean): Choices =>
  Object.fromEntries(optional(notice).map(({ key }) => [key, value]));

/** Begin from what holds: off, unless it is granted. */
export const drafted = ({ notice, purposes }: Asked): Choices =>
  Object.fromEntries(optional(notice).map((one) => [one.key, isGranted(purposes, one)]));

const button = (word: string, click: () => void, kind = ""): HTMLElement => make("button", { type: "button", class: kind, click }, word);

/** The notice is in the language that it has, which may be another than ours. */
const foreign = ({ notice }: Asked): string | undefined => (notice.locale.startsWith(language) ? undefined : notice.locale);

const title = (word: string): HTMLElement => make("h2", { id: TITLE, tabindex: "-1" }, word);

const gpc = ({ signals }: Asked): HTMLElement | false => (signals.gpc || sendsGpc) && make("p", { class: "gpc" }, words.gpc);

/** Where the link to the privacy page shows: it is the host's own child, see `banner.ts`. */
export const privacyLink = (): HTMLElement => make("slot", { name: "privacy" });

export function first(asked: Asked, { decide, choose }: Answers): HTMLElement[] {
  const { notice, ask } = asked;
  const why = ask.why && words.why[ask.why];
  const titles = notice.purposes.map((purpose) => make("li", {}, purpose.title));
  return [
    make("div", { class: "text" },
      title(words.title),
      !!why && make("p", { class: "why" }, why),
      make("p", { lang: foreign(asked) }, notice.summary),
      make("ul", { lang: foreign(asked), class: "titles" }, ...titles),
      gpc(asked) || ""),
    make("div", { class: "buttons" },
      button(words.accept, () => decide(everything(asked, true), "accept")),
      button(words.refuse, () => decide(everything(asked, false), "refuse")),
      button(words.choose, choose, "quiet choose")),
    privacyLink(),
  ];
}

export function second(asked: Asked, draft: Choices, { decide, leave }: Answers): HTMLElement[] {
  return [
    make("div", { class: "head" },
      title(words.choices),
      button(asked.ask.needed ? words.back : words.close, leave, "plain")),
    gpc(asked) || "",
    make("div", { lang: foreign(asked) }, ...asked.notice.purposes.map((purpose) => one(purpose, draft))),
    privacyLink(),
    make("div", { class: "buttons bar" },
      button(words.accept, () => decide(everything(asked, true), "accept"), "quiet"),
      button(words.refuse, () => decide(everything(asked, false), "refuse"), "quiet"),
      button(words.save, () => decide({ ...draft }, "choose"))),
  ].filter((part): part is HTMLElement => !!part);
}

function one(purpose: Purpose, draft: Choices): HTMLElement {
  const { key, summary, details, legal_basis: basis, required, sensitive } = purpose;
  const name = make("span", { class: "name" }, purpose.title, sensitive && make("small", { lang: language }, words.sensitive));
  return make("section", {},
    required ? make("div", { class: "row" }, name, make("span", { class: "always", lang: language }, words.always)) : switched(key, name, draft),
    make("p", { id: `about-${key}` }, summary),
    make("details", {},
      make("summary", { lang: language }, words.details),
      !!details && make("p", {}, details),
      make("p", { lang: language }, words.basis, words.bases[basis] ?? basis, ".")));
}

function switched(key: string, name: HTMLElement, draft: Choices): HTMLElement {
  const word = make("span", { class: "word", lang: language, "aria-hidden": "true" });
  const box = make("input", {
    type: "checkbox", role: "switch", name: key, "aria-describedby": `about-${key}`,
    change: () => {
      draft[key] = box.checked;
      say();
    },
  });
  const say = (): void => void (word.textContent = box.checked ? words.on : words.off);
  box.checked = !!draft[key];
  say();
  return make("label", { class: "row" }, name, word, box);
}
