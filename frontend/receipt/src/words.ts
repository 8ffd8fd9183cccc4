/** What the verifier says, in English and German: one plain sentence for each verdict and for each step and reason. */

import type { State, Step, StepName, Verdict, Why } from "./checks";

type Sentences = Partial<Record<Why, string>>;

export interface Words {
  choose: string;
  drop: string;
  checking: string;
  none: string;
  unreadable: string;
  tooLarge: string;
  notFetched: string;
  checked: string;
  details: string;
  of: (kept: string) => string;
  counted: (kept: number, all: number, failed: number) => string;
  verdicts: Record<Verdict, [headline: string, short: string]>;
  states: Record<State, string>;
  anyStep: Sentences;
  steps: Record<StepName, Sentences>;
  actions: Record<string, string>;
}

const ENGLISH: Words = {
  choose: "Check a receipt that you saved",
  drop: "Choose the file, or drop it here. It stays on your device: this page asks the site only for its published checkpoints.",
  checking: "Checking …",
  none: "There is no receipt in this file.",
  unreadable: "This file cannot be read as a receipt.",
  tooLarge: "This file is too large to be a receipt.",
  notFetched: "The receipt could not be fetched. Load the page again, and try once more.",
  checked: "What was checked",
  details: "Details",
  of: (kept) => `Receipt of ${kept}`,
  counted: (kept, all, failed) => `${kept} of ${all} receipts hold; ${failed} ${failed === 1 ? "does" : "do"} not.`,
  verdicts: {
    none: ["This is no receipt.", "no receipt"],
    fails: ["This receipt does not hold.", "does not hold"],
    pending: ["Not tied to a checkpoint yet; save the receipt again in a minute.", "no checkpoint yet"],
    unsure: ["This receipt could not be checked to the end.", "could not be checked"],
    mostly: ["This receipt holds, as far as this browser can check.", "holds"],
    holds: ["This receipt holds.", "holds"],
  },
  states: { ok: "OK", failed: "Failed", unchecked: "Not checked" },
  anyStep: {
    pending: "Not tied to a checkpoint yet; save the receipt again in a minute.",
    insecure: "This browser can only calculate on pages that were opened over https.",
    unreachable: "What the site publishes could not be read just now. Try again later.",
  },
  steps: {
    words: {
      ok: "The receipt names the same person, moment, purposes and answers as its entries of the ledger.",
      differs: "The receipt says something else than its entries of the ledger ({}): somebody edited it.",
    },
    hash: {
      ok: "Every entry gives the hash that it carries.",
      differs: "An entry does not give the hash that it carries ({}): somebody edited it.",
    },
    path: {
      ok: "The hash of every entry belongs to its checkpoint.",
      differs: "An entry does not belong to its checkpoint ({}): the ledger never held it like this.",
    },
    checkpoint: {
      ok: "The checkpoint gives the hash that it carries.",
      differs: "The checkpoint does not give the hash that it carries: somebody edited it.",
    },
    signature: {
      ok: "The checkpoint is signed with the key that the receipt names.",
      bad: "The checkpoint is not signed with the key that the receipt names.",
      unsupported: "The signature could not be checked in this browser.",
    },
    key: {
      ok: "The receipt names the key that the site publishes.",
      other: "The receipt names another key than the site publishes: it is not from here, somebody edited it, or the site has changed its key.",
    },
    published: {
      ok: "The site still publishes the same checkpoint.",
      gone: "The site no longer publishes checkpoint {}: the ledger was rewritten after this receipt was saved.",
      rewritten: "The site publishes checkpoint {} with another content: the ledger was rewritten after this receipt was saved.",
      unlike: "The site publishes no checkpoint {} with this content.",
    },
  },
  actions: { granted: "allowed", refused: "refused", withdrawn: "withdrawn", opt_out_signal: "opted out by signal" },
};

const GERMAN: Words = {
  choose: "Einen gespeicherten Beleg prüfen",
  drop: "Datei auswählen oder hier ablegen. Sie bleibt auf Ihrem Gerät: Diese Seite fragt nur nach den veröffentlichten Prüfpunkten.",
  checking: "Wird geprüft …",
  none: "In dieser Datei ist kein Beleg.",
  unreadable: "Diese Datei lässt sich nicht als Beleg lesen.",
  tooLarge: "Diese Datei ist zu groß für einen Beleg.",
  notFetched: "Der Beleg ließ sich nicht abrufen. Laden Sie die Seite neu, und versuchen Sie es noch einmal.",
  checked: "Was geprüft wurde",
  details: "Genauer",
  of: (kept) => `Beleg vom ${kept}`,
  counted: (kept, all, failed) => `${kept} von ${all} Belegen stimmen; ${failed} ${failed === 1 ? "stimmt" : "stimmen"} nicht.`,
  verdicts: {
    none: ["Das ist kein Beleg.", "kein Beleg"],
    fails: ["Dieser Beleg stimmt nicht.", "stimmt nicht"],
    pending: ["Noch an keinen Prüfpunkt gebunden; speichern Sie den Beleg in einer Minute noch einmal.", "noch kein Prüfpunkt"],
    unsure: ["Dieser Beleg ließ sich nicht zu Ende prüfen.", "nicht prüfbar"],
    mostly: ["Dieser Beleg stimmt, soweit dieser Browser prüfen kann.", "stimmt"],
    holds: ["Dieser Beleg stimmt.", "stimmt"],
  },
  states: { ok: "Stimmt", failed: "Stimmt nicht", unchecked: "Nicht geprüft" },
  anyStep: {
    pending: "Noch an keinen Prüfpunkt gebunden; speichern Sie den Beleg in einer Minute noch einmal.",
    insecure: "Dieser Browser kann nur auf Seiten rechnen, die über https geöffnet wurden.",
    unreachable: "Was die Website veröffentlicht, ließ sich gerade nicht lesen. Versuchen Sie es später noch einmal.",
  },
  steps: {
    words: {
      ok: "Der Beleg nennt dieselbe Person, Zeit, Zwecke und Antworten wie seine Einträge im Verzeichnis.",
      differs: "Der Beleg sagt etwas anderes als seine Einträge im Verzeichnis ({}): Jemand hat ihn verändert.",
    },
    hash: {
      ok: "Jeder Eintrag ergibt die Prüfsumme, die er trägt.",
      differs: "Ein Eintrag ergibt nicht die Prüfsumme, die er trägt ({}): Jemand hat ihn verändert.",
    },
    path: {
      ok: "Die Prüfsumme jedes Eintrags gehört zu seinem Prüfpunkt.",
      differs: "Ein Eintrag gehört nicht zu seinem Prüfpunkt ({}): So stand er nie im Verzeichnis.",
    },
    checkpoint: {
      ok: "Der Prüfpunkt ergibt die Prüfsumme, die er trägt.",
      differs: "Der Prüfpunkt ergibt nicht die Prüfsumme, die er trägt: Jemand hat ihn verändert.",
    },
    signature: {
      ok: "Der Prüfpunkt ist mit dem Schlüssel unterschrieben, den der Beleg nennt.",
      bad: "Der Prüfpunkt ist nicht mit dem Schlüssel unterschrieben, den der Beleg nennt.",
      unsupported: "Die Unterschrift ließ sich in diesem Browser nicht prüfen.",
    },
    key: {
      ok: "Der Beleg nennt den Schlüssel, den die Website veröffentlicht.",
      other: "Der Beleg nennt einen anderen Schlüssel, als die Website veröffentlicht: Er ist nicht von hier, jemand hat ihn verändert, oder die Website hat ihren Schlüssel gewechselt.",
    },
    published: {
      ok: "Die Website veröffentlicht noch denselben Prüfpunkt.",
      gone: "Die Website veröffentlicht Prüfpunkt {} nicht mehr: Das Verzeichnis wurde umgeschrieben, nachdem dieser Beleg gespeichert war.",
      rewritten: "Die Website veröffentlicht Prüfpunkt {} mit anderem Inhalt: Das Verzeichnis wurde umgeschrieben, nachdem dieser Beleg gespeichert war.",
      unlike: "Die Website veröffentlicht keinen Prüfpunkt {} mit diesem Inhalt.",
    },
  },
  actions: { granted: "erlaubt", refused: "abgelehnt", withdrawn: "widerrufen", opt_out_signal: "durch Signal abgelehnt" },
};

export function wordsFor(language: string): Words {
  return language.toLowerCase().startsWith("de") ? GERMAN : ENGLISH;
}

export function sentenceOf({ name, why, names }: Step, words: Words): string {
  return (words.steps[name][why] ?? words.anyStep[why] ?? "").replace("{}", () => names.join(", "));
}
