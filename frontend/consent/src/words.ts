/** Everything the banner says itself, in English and German; German is polite unless the page says `data-du`. */

import { locale, options } from "./page";

const EN = {
  title: "What may this site know about you?",
  choices: "What you allow",
  accept: "Accept all",
  refuse: "Refuse all",
  choose: "Choose",
  save: "Save my choice",
  back: "Back",
  close: "Close",
  details: "Details",
  basis: "Legal basis: ",
  sensitive: "Sensitive",
  always: "Always on",
  on: "On",
  off: "Off",
  privacy: "Your data and your rights",
  gpc: "Your browser sends Global Privacy Control. We honour it.",
  superseded: "The wording has changed in the meantime. Please read it again; your choices are still here.",
  failed: "That did not work. Nothing has changed; please try again.",
  unread: "This cannot be read right now. Nothing has changed; please try again later.",
  saved: "Your choice is saved.",
  withdrawn: "Switched off. What was kept for it is not read any more, and is deleted in ten minutes.",
  undo: "Undo",
  reminder: "A reminder: you allow ",
  nothing: "nothing that we ask for",
  news: "Privacy",
  why: {
    new_purpose: "We ask again because a purpose was added.",
    notice_changed: "We ask again because the wording has changed.",
    expired: "We ask again because your permission has run out.",
    pause_over: "You said no a while ago. We ask once more.",
  } as Record<string, string>,
  bases: {
    consent: "your consent",
    contract: "a contract with you",
    legit_interest: "legitimate interest",
    legal_obligation: "a legal obligation",
  } as Record<string, string>,
};

const DE: typeof EN = {
  title: "Was darf diese Website über Sie wissen?",
  choices: "Was Sie erlauben",
  accept: "Alles erlauben",
  refuse: "Alles ablehnen",
  choose: "Auswählen",
  save: "Auswahl speichern",
  back: "Zurück",
  close: "Schließen",
  details: "Genauer",
  basis: "Rechtsgrundlage: ",
  sensitive: "Sensibel",
  always: "Immer an",
  on: "An",
  off: "Aus",
  privacy: "Ihre Daten und Ihre Rechte",
  gpc: "Ihr Browser sendet Global Privacy Control. Wir halten uns daran.",
  superseded: "Der Text hat sich inzwischen geändert. Bitte lesen Sie ihn noch einmal; Ihre Auswahl ist noch da.",
  failed: "Das hat nicht geklappt. Es hat sich nichts geändert; bitte versuchen Sie es noch einmal.",
  unread: "Das lässt sich gerade nicht lesen. Es hat sich nichts geändert; bitte versuchen Sie es später noch einmal.",
  saved: "Ihre Auswahl ist gespeichert.",
  withdrawn: "Abgeschaltet. Was dafür gespeichert war, wird nicht mehr gelesen und in zehn Minuten gelöscht.",
  undo: "Rückgängig machen",
  reminder: "Zur Erinnerung: Sie erlauben ",
  nothing: "nichts von dem, wonach wir fragen",
  news: "Datenschutz",
  why: {
    new_purpose: "Wir fragen noch einmal, weil ein Zweck dazugekommen ist.",
    notice_changed: "Wir fragen noch einmal, weil sich der Text geändert hat.",
    expired: "Wir fragen noch einmal, weil Ihre Erlaubnis abgelaufen ist.",
    pause_over: "Ihr Nein ist eine Weile her. Wir fragen noch einmal.",
  },
  bases: {
    consent: "Ihre Einwilligung",
    contract: "ein Vertrag mit Ihnen",
    legit_interest: "berechtigtes Interesse",
    legal_obligation: "eine rechtliche Pflicht",
  },
};

const DU: Partial<typeof EN> = {
  title: "Was darf diese Website über dich wissen?",
  choices: "Was du erlaubst",
  privacy: "Deine Daten und deine Rechte",
  gpc: "Dein Browser sendet Global Privacy Control. Wir halten uns daran.",
  superseded: "Der Text hat sich inzwischen geändert. Bitte lies ihn noch einmal; deine Auswahl ist noch da.",
  failed: "Das hat nicht geklappt. Es hat sich nichts geändert; bitte versuche es noch einmal.",
  unread: "Das lässt sich gerade nicht lesen. Es hat sich nichts geändert; bitte versuche es später noch einmal.",
  saved: "Deine Auswahl ist gespeichert.",
  reminder: "Zur Erinnerung: Du erlaubst ",
  why: { ...DE.why, expired: "Wir fragen noch einmal, weil deine Erlaubnis abgelaufen ist.", pause_over: "Dein Nein ist eine Weile her. Wir fragen noch einmal." },
  bases: { ...DE.bases, consent: "deine Einwilligung", contract: "ein Vertrag mit dir" },
};

export const language = /^de\b/i.test(locale) ? "de" : "en";
export const words = language === "en" ? EN : "du" in options ? { ...DE, ...DU } : DE;
if (options.title) words.title = options.title;
