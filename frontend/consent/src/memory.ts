/**
 * What a browser keeps where the API is on another origin, and its cookies are therefore not sent: the visitor's token
 * after a yes, and a refusal as the API itself would keep it, the same bytes for everyone. On the API's own origin
 * nothing is kept here: there the token lives in a cookie that no script can read.
 */

import { elsewhere, options } from "./page";

const TOKEN = "tessera.token"; // read by the snippet too
const REFUSAL = "tessera_consent"; // and so is this
const SECONDS = 395 * 24 * 3600;

let remembered: string | undefined;

/** Return the visitor's token, where there is one that a script may know. */
export function token(): string | undefined {
  if (options.token || !elsewhere) return options.token;
  try {
    return localStorage.getItem(TOKEN) ?? undefined;
  } catch {
    return remembered; // a browser that keeps nothing still answers until the page is left
  }
}

export function keepToken(fresh: string): void {
  remembered = fresh;
  forgetRefusal();
  try {
    localStorage.setItem(TOKEN, fresh);
  } catch {
    // see above
  }
}

export function forgetToken(): void {
  remembered = undefined;
  try {
    localStorage.removeItem(TOKEN);
  } catch {
    // nothing was kept
  }
}

/** Return the version of the notice that was refused here. */
export function refusedVersion(): string | undefined {
  return new RegExp(`(?:^|; )${REFUSAL}=refused\\.(\\d+)`).exec(document.cookie)?.[1];
}

export function keepRefusal(version: string): void {
  write(`refused.${version}`, SECONDS);
}

function forgetRefusal(): void {
  write("", 0);
}

function write(value: string, seconds: number): void {
  document.cookie = `${REFUSAL}=${value}; Path=/; Max-Age=${seconds}; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
}
