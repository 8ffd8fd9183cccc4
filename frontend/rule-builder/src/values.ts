/**
 * One value between its control (text) and the rule (JSON), by kind of fact.
 *
 * Writing gives null for text that is no value yet; reading gives null for JSON of another type.
 * A date is written in UTC as `YYYY-MM-DDTHH:MM:SSZ` and edited without the zone.
 */

import type { Kind } from "./vocabulary";

export type Scalar = string | number | boolean;

const DATE_TEXT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/;
const DATE_JSON = /^(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)Z$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d$/;

export function writeValue(kind: Kind, text: string): Scalar | null {
  if (kind === "number" || kind === "hour") return writeNumber(kind, text);
  if (kind === "date") return DATE_TEXT.test(text) ? `${text}${text.length === 16 ? ":00" : ""}Z` : null;
  if (kind === "time") return TIME.test(text) ? text : null;
  return text === "" ? null : text;
}

export function readValue(kind: Kind, value: unknown): string | null {
  if (kind === "number" || kind === "hour") {
    return typeof value === "number" && writeValue(kind, String(value)) === value ? String(value) : null;
  }
  if (typeof value !== "string" || value === "") return null;
  if (kind === "date") return readDate(value);
  return kind !== "time" || TIME.test(value) ? value : null;
}

function writeNumber(kind: Kind, text: string): number | null {
  const number = text.trim() === "" ? NaN : Number(text);
  if (!Number.isFinite(number)) return null;
  return kind === "hour" && !(Number.isInteger(number) && number >= 0 && number <= 23) ? null : number;
}

function readDate(value: string): string | null {
  const [, minutes, seconds] = DATE_JSON.exec(value) ?? [];
  if (!minutes) return null;
  return seconds === "00" ? minutes : `${minutes}:${seconds}`;
}
