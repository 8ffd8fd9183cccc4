/**
 * Who the rule would reach, asked while it is edited. In: the rule's text and where to ask. Out: one line, such as
 * "≈ 1,240 of 18,300 (6.8 %)", renewed a moment after the last change; small groups are a phrase.
 */

import { useEffect, useState } from "preact/hooks";

interface Props {
  textarea: HTMLTextAreaElement;
  text: string;
  ready: boolean;
}

interface Answer {
  people: string;
  base: string;
  share: string;
  exact: boolean;
  contextual: boolean;
  problems: { pointer: string; detail: string }[];
}

const MOMENT = 700;

export function Reach({ textarea, text, ready }: Props) {
  const [said, setSaid] = useState("");
  const [small, setSmall] = useState(false);
  useEffect(() => {
    if (!ready) return setSaid("Who it reaches is counted when no condition is unfinished.");
    let current = true;
    const timer = setTimeout(async () => {
      const told = await ask(textarea, text);
      if (!current) return;
      setSaid(told.sentence);
      setSmall(told.small);
    }, MOMENT);
    return () => { current = false; clearTimeout(timer); };
  }, [textarea, text, ready]);
  return <p class={small ? "rule-builder-reach rule-builder-reach-small" : "rule-builder-reach"} role="status">{said}</p>;
}

async function ask(textarea: HTMLTextAreaElement, text: string): Promise<{ sentence: string; small: boolean }> {
  const form = textarea.form;
  const valueOf = (name: string) => (form?.elements.namedItem(name) as HTMLInputElement | null)?.value ?? "";
  if (valueOf("kind") && valueOf("kind") !== "rule") return { sentence: "", small: false };
  const question = { rule: JSON.parse(text.trim() || "{}") as unknown, parent: valueOf("parent") || null, segment: textarea.dataset.segment || null };
  try {
    const response = await fetch(textarea.dataset.reachUrl!, {
      method: "POST", credentials: "same-origin", body: JSON.stringify(question),
      headers: { "Content-Type": "application/json", "X-CSRFToken": valueOf("csrfmiddlewaretoken") },
    });
    const answer = (await response.json()) as Answer & { errors?: { detail: string }[] };
    if (!response.ok) return { sentence: answer.errors?.[0]?.detail ?? "Who it reaches cannot be told now.", small: false };
    return spoken(answer);
  } catch {
    return { sentence: "Who it reaches cannot be told now.", small: false };
  }
}

function spoken(answer: Answer): { sentence: string; small: boolean } {
  const [problem] = answer.problems;
  if (problem && !answer.people) return { sentence: problem.detail, small: false };
  if (!answer.people) return { sentence: "Decided at each request from the context alone: everybody for whom it fits.", small: false };
  if (!/^\d/.test(answer.base)) return { sentence: "Fewer than 50 people have allowed what it reads: too few to tell a number.", small: true };
  const many = /^\d/.test(answer.people);
  const share = answer.share ? ` (${answer.share})` : "";
  const also = answer.contextual ? " What the request says decides in addition." : "";
  return { sentence: `Reaches ${many ? "≈ " : ""}${answer.people} of ${answer.base} people who allowed what it reads${share}.${also}`, small: answer.people.startsWith("fewer") };
}
