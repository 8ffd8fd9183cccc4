/**
 * What is known of this visitor's consent in this page, and who is told when it changes.
 *
 * `consentchange` on the document carries `{purposes, mode}`: once when consent is known (`load`), and after every
 * decision: `accept`, `refuse`, `choose` in the banner, `set` by the page. Where nothing can be read nothing is allowed.
 */

import { type Asked, type Choices, type Notice, type States, Problem, read, write } from "./api";
import { update } from "./google";
import { token } from "./memory";
import { elsewhere, sendsGpc } from "./page";

export type Mode = "load" | "accept" | "refuse" | "choose" | "set";

export interface State {
  purposes: States;
  visitorId: string | null;
  gpc: boolean;
  token?: string; // on another origin than the API's, where requests have to carry it
}

type Callback = (state: State, mode: Mode) => void;

const EVENT = "consentchange";
let last: Mode | undefined;

/** The latest answer of the API; null until there is one. */
export let asked: Asked | null = null;

export function state(): State {
  const gpc = !!asked?.signals.gpc || sendsGpc;
  const known = { purposes: { ...asked?.purposes }, visitorId: asked?.visitor_id ?? null, gpc };
  return elsewhere ? { ...known, token: token() } : known;
}

/** Call back now, if consent is known already, and after every decision; returns how to stop that. */
export function onChange(callback: Callback): () => void {
  const told = (event: Event): void => {
    const { mode } = (event as CustomEvent<{ mode?: Mode } | null>).detail ?? {};
    if (mode) callback(state(), mode); // a page may send the event too, without knowing more
  };
  document.addEventListener(EVENT, told);
  if (last) callback(state(), last);
  return () => document.removeEventListener(EVENT, told);
}

export async function load(): Promise<void> {
  await reread().catch((error) => console.warn("Consent could not be read:", error));
  announce("load");
}

export async function reread(): Promise<Asked> {
  asked = await read();
  update(asked.consent_mode);
  return asked;
}

/** Record a decision; a `Problem` leaves everything as it was, but for the notice when it was superseded. */
export async function decide(choices: Choices, mode: Mode): Promise<State> {
  const before = asked ?? (await reread());
  try {
    const { visitor_id, purposes, consent_mode } = await write(before, choices);
    asked = { ...before, visitor_id, purposes, consent_mode, ask: { needed: false, why: null }, remind: false };
  } catch (error) {
    if (error instanceof Problem && error.notice) await supersede(before, error.notice);
    throw error;
  }
  update(asked.consent_mode);
  announce(mode);
  return state();
}

/** Read the new notice with the proof that it is shown; without that proof it can be answered too. */
async function supersede(before: Asked, notice: Notice): Promise<void> {
  await reread().catch(() => (asked = { ...before, notice, served: undefined }));
}

function announce(mode: Mode): void {
  last = mode;
  document.dispatchEvent(new CustomEvent(EVENT, { detail: { purposes: state().purposes, mode } }));
}
