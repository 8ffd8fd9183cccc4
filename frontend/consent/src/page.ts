/** What the page says: the attributes of this script's tag, the language, and whether the API is on another origin. */

const script = document.currentScript as HTMLScriptElement;

/** `data-api` `data-locale` `data-du` `data-title` `data-privacy` `data-scheme` `data-token` `data-consent-mode` */
export const options = script.dataset;
export const api = (options.api || new URL(script.src).origin).replace(/\/+$/, "");
export const elsewhere = new URL(api, location.href).origin !== location.origin;
export const locale = options.locale || document.documentElement.lang || navigator.language || "en";
export const privacyPage = options.privacy || `${api}/privacy/`;
export const sendsGpc = (navigator as { globalPrivacyControl?: unknown }).globalPrivacyControl === true;

/** Wait until there is a body to put something into. */
export function parsed(): Promise<void> {
  if (document.body) return Promise.resolve();
  return new Promise((done) => document.addEventListener("DOMContentLoaded", () => done(), { once: true }));
}
