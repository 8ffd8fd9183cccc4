/** Google Consent Mode v2: everything denied until the visitor has answered, then what the API says. */

import { options } from "./page";

interface Tagged {
  dataLayer?: unknown[];
  gtag?: (...call: unknown[]) => void;
}

const page = window as unknown as Tagged;
const DENIED = ["ad_storage", "ad_user_data", "ad_personalization", "analytics_storage", "functionality_storage", "personalization_storage"];
const WAIT_MS = 500;

const wanted = (): boolean => "consentMode" in options || !!page.gtag || !!page.dataLayer;

/** Google's tag reads calls, not arrays: what is queued for it has to be an `arguments`. */
function queue(..._call: unknown[]): void {
  (page.dataLayer ??= []).push(arguments);
}

function tell(command: string, types: Record<string, unknown>): void {
  if (wanted()) (page.gtag ?? queue)("consent", command, types);
}

export function denyByDefault(): void {
  tell("default", { ...Object.fromEntries(DENIED.map((type) => [type, "denied"])), wait_for_update: WAIT_MS });
}

export function update(types?: Record<string, string>): void {
  if (types) tell("update", types);
}
