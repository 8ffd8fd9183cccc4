/** The two calls of `/api/v1/consent`. In: a decision. Out: answers as the API gives them, or a `Problem`. */

import { forgetToken, keepRefusal, keepToken, refusedVersion, token } from "./memory";
import { api, elsewhere, locale, options, sendsGpc } from "./page";

export interface Purpose {
  key: string;
  title: string;
  summary: string;
  details: string;
  legal_basis: string;
  required: boolean;
  sensitive: boolean;
}

export interface Notice {
  version: string;
  locale: string;
  summary: string;
  purposes: Purpose[];
}

export type States = Record<string, string>; // unset, granted, refused, withdrawn or expired, per purpose
export type Choices = Record<string, boolean>;

/** What GET and PUT both answer. */
export interface Known {
  visitor_id: string | null;
  purposes: States;
  consent_mode?: Record<string, string>;
}

export interface Asked extends Known {
  notice: Notice;
  signals: { gpc: boolean };
  ask: { needed: boolean; why: string | null };
  served?: string;
  remind?: boolean;
}

/** A call that was not answered with 200; `notice` is the current one, where that is why. */
export class Problem extends Error {
  constructor(readonly status: number, detail: string, readonly notice?: Notice) {
    super(detail);
  }
}

export const isGranted = (states: States, { key }: Purpose): boolean => states[key] === "granted";
export const optional = ({ purposes }: Notice): Purpose[] => purposes.filter(({ required }) => !required);

export async function read(): Promise<Asked> {
  const answer = await call<Asked>("GET");
  const refused = elsewhere && !answer.visitor_id && refusedVersion();
  // what the API reads from its own cookie, it cannot read from another origin
  if (refused === answer.notice.version) {
    for (const { key } of optional(answer.notice)) answer.purposes[key] = "refused";
    answer.ask = { needed: false, why: null };
  } else if (refused && answer.ask.needed) answer.ask.why = "notice_changed";
  return answer;
}

/** Record a decision. What is withdrawn is sealed first, so that a slip of the finger can be undone for ten minutes. */
export async function write({ notice, served, purposes }: Asked, choices: Choices): Promise<Known> {
  const withdraws = notice.purposes.some((one) => isGranted(purposes, one) && choices[one.key] === false);
  const body = {
    purposes: choices, notice: notice.version,
    ...(served && { served }), ...(sendsGpc && { gpc: true }), ...(withdraws && { seal: true }),
  };
  const answer = await call<Known & { token: string | null }>("PUT", body);
  if (elsewhere) {
    if (answer.token) keepToken(answer.token);
    else if (Object.values(choices).includes(false)) keepRefusal(notice.version);
  }
  return answer;
}

/** Note that the reminder was shown: the next one counts from now. */
export async function reminded({ notice }: Asked): Promise<void> {
  await call("PUT", { purposes: {}, notice: notice.version, reminded: true });
}

async function call<Answer>(method: string, body?: object, again = true): Promise<Answer> {
  const sent = token();
  const response = await fetch(`${api}/api/v1/consent?locale=${encodeURIComponent(locale)}`, {
    method, body: body && JSON.stringify(body), credentials: elsewhere ? "omit" : "same-origin", cache: "no-store",
    headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }), ...(sent && { "X-Visitor": sent }) },
  });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  if (response.status === 401 && again && (!sent || sent !== options.token)) {
    forgetToken(); // it has run out, as has the cookie with this answer: whoever decides now is somebody new
    return call(method, body, false);
  }
  throw new Problem(response.status, answer.errors?.[0]?.detail ?? `HTTP ${response.status}`, answer.notice);
}
