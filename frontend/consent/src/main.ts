/**
 * The question for consent, and the place to change the answer, for any page.
 *
 * <script src="…/consent.js" defer></script>
 * It shows itself where somebody has to be asked; `tessera.consent` is how a page opens it, reads what is allowed,
 * decides, and is told. A click on what carries `data-tessera-consent="open"` opens it, on `"refuse"` withdraws all.
 */

import { type Choices, Problem } from "./api";
import { answer, ask, complain, install, open, remind } from "./banner";
import { type State, asked, decide, load, onChange, state } from "./consent";
import { denyByDefault } from "./google";
import { everything } from "./layers";

interface Page {
  tessera?: { consent?: unknown };
}

async function start(): Promise<void> {
  denyByDefault(); // at once: Google's tag may be the next script
  const ready = Promise.all([load(), install()]);
  const page = window as Page;
  page.tessera = { ...page.tessera, consent: { open: () => ready.then(open), state, set: (choices: Choices) => ready.then(() => set(choices)), onChange } };
  document.addEventListener("click", (event) => void ready.then(() => onClick(event)));
  await ready;
  if (asked?.ask.needed) ask();
  else if (asked?.remind) remind();
}

/** Decide for the page; a notice that was superseded meanwhile is shown, and the page is told so by a rejection. */
async function set(choices: Choices): Promise<State> {
  try {
    return await decide(choices, "set");
  } catch (error) {
    if (error instanceof Problem && error.notice) complain(error);
    throw error;
  }
}

/** Serve the page's own buttons: one click takes back what one click gave. */
function onClick({ target }: Event): void {
  const wanted = target instanceof Element && target.closest<HTMLElement>("[data-tessera-consent]")?.dataset.tesseraConsent;
  if (wanted === "open") void open();
  if (wanted === "refuse" && asked) void answer(everything(asked, false), "refuse");
}

if (!(window as Page).tessera?.consent) void start();
