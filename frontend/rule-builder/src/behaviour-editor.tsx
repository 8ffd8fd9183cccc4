/**
 * The controls of a row about what somebody did. In: a draft and the events that are known. Out: a new draft with
 * every change. Every control says which condition it belongs to.
 */

import { Fragment } from "preact";
import {
  COMPARISONS, MEASURES, UNITS, WHERES, isSeq, type DidDraft, type Draft, type Duration, type SeqDraft, type Step, type Where,
} from "./behaviour";
import type { EventName } from "./vocabulary";

interface Props<T extends Draft> {
  draft: T;
  events: EventName[];
  label: string;
  onChange: (draft: T) => void;
}

export function BehaviourEditor(props: Props<Draft>) {
  if (isSeq(props.draft)) return <SeqEditor {...(props as unknown as Props<SeqDraft>)} />;
  return <DidEditor {...(props as unknown as Props<DidDraft>)} />;
}

function DidEditor({ draft, events, label, onChange }: Props<DidDraft>) {
  const set = (change: Partial<DidDraft>) => onChange({ ...draft, ...change });
  const between = draft.compare === "between";
  const comparisons = COMPARISONS.filter(([name]) => name !== "never" || draft.measure === "count");
  return (
    <span class="rule-builder-did">
      <Events value={draft.event} events={events} label={`Event of ${label}`} any onChange={(event) => set({ event })} />
      <Choice value={draft.measure} choices={MEASURES} label={`What is measured in ${label}`}
        onChange={(measure) => set({ measure, compare: draft.compare === "never" && measure !== "count" ? "gte" : draft.compare })} />
      {draft.measure !== "count" && <Property value={draft.of} event={draft.event} events={events} label={`Measured property of ${label}`} onChange={(of) => set({ of })} />}
      <Choice value={draft.compare} choices={comparisons.map(([name, title]) => [name, title])} label={`Comparison of ${label}`} onChange={(compare) => set({ compare })} />
      {draft.compare !== "never" && <NumberInput value={draft.low} label={`Number of ${label}${between ? ", from" : ""}`} onChange={(low) => set({ low })} />}
      {between && <Fragment><span aria-hidden="true">and</span><NumberInput value={draft.high} label={`Number of ${label}, to`} onChange={(high) => set({ high })} /></Fragment>}
      <DurationInput lead="within" value={draft.within} label={`How far back ${label} looks`} session onChange={(within) => set({ within })} />
      <Wheres rows={draft.where} event={draft.event} events={events} label={label} onChange={(where) => set({ where })} />
      <By value={draft.by} event={draft.event} events={events} label={label} lead="of one" onChange={(by) => set({ by })} />
    </span>
  );
}

function SeqEditor({ draft, events, label, onChange }: Props<SeqDraft>) {
  const set = (change: Partial<SeqDraft>) => onChange({ ...draft, ...change });
  const setStep = (index: number, step: Step) => set({ steps: draft.steps.map((one, at) => (at === index ? step : one)) });
  return (
    <span class="rule-builder-seq">
      <ol>
        {draft.steps.map((step, index) => (
          <li key={index}>
            <Choice value={step.absent ? "no" : "yes"} choices={[["yes", index ? "then" : "first"], ...(index ? [["no", "then no"] as [string, string]] : [])]}
              label={`Step ${index + 1} of ${label} happened or not`} onChange={(answer) => setStep(index, { ...step, absent: answer === "no" })} />
            <Events value={step.event} events={events} label={`Event of step ${index + 1} of ${label}`} onChange={(event) => setStep(index, { ...step, event })} />
            <Wheres rows={step.where} event={step.event} events={events} label={`step ${index + 1} of ${label}`} onChange={(where) => setStep(index, { ...step, where })} />
            {draft.steps.length > 1 && <button type="button" class="rule-builder-icon" aria-label={`Remove step ${index + 1} of ${label}`}
              onClick={() => set({ steps: draft.steps.filter((_, at) => at !== index) })}>×</button>}
          </li>
        ))}
      </ol>
      <button type="button" class="rule-builder-add" aria-label={`Add a step to ${label}`}
        onClick={() => set({ steps: [...draft.steps, { event: "", absent: false, where: [] }] })}>+ Step</button>
      <DurationInput lead="each within" value={draft.gap} label={`Longest time between steps of ${label}`} onChange={(gap) => set({ gap })} />
      <DurationInput lead="begun in the last" value={draft.since} label={`How far back ${label} looks`} onChange={(since) => set({ since })} />
      <By value={draft.by} event={draft.steps[0]?.event ?? ""} events={events} label={label} lead="with the same" onChange={(by) => set({ by })} />
    </span>
  );
}

function Choice({ value, choices, label, onChange }: { value: string; choices: [string, string][]; label: string; onChange: (value: string) => void }) {
  return (
    <select aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      {choices.map(([name, title]) => <option key={name} value={name}>{title}</option>)}
    </select>
  );
}

function Events({ value, events, label, any, onChange }: { value: string; events: EventName[]; label: string; any?: boolean; onChange: (value: string) => void }) {
  const known = !value || value === "*" || events.some((event) => event.key === value);
  return (
    <select class="rule-builder-event" aria-label={label} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
      <option value="">Choose an event…</option>
      {any && <option value="*">Anything but page views</option>}
      {!known && <option value={value}>{value} (never seen)</option>}
      {events.map(({ key, title }) => <option key={key} value={key}>{title}</option>)}
    </select>
  );
}

/** A property is typed, with those that are known of the event on offer. */
function Property({ value, event, events, label, onChange }: { value: string; event: string; events: EventName[]; label: string; onChange: (value: string) => void }) {
  const known = Object.keys(events.find((one) => one.key === event)?.properties ?? {}).map((path) => path.replace(/^properties\./, ""));
  const list = `rule-properties-${label.replace(/\W+/g, "-")}`;
  return (
    <Fragment>
      <input form="rule-builder-none" type="text" aria-label={label} value={value} list={list} placeholder="property" onKeyDown={keepForm}
        onInput={(input) => onChange(input.currentTarget.value)} />
      <datalist id={list}>{known.map((name) => <option key={name} value={name} />)}</datalist>
    </Fragment>
  );
}

function NumberInput({ value, label, onChange }: { value: string; label: string; onChange: (value: string) => void }) {
  return <input form="rule-builder-none" class="rule-builder-short" type="number" step="any" aria-label={label} value={value} onKeyDown={keepForm}
    onInput={(event) => onChange(event.currentTarget.value)} />;
}

function DurationInput({ lead, value, label, session, onChange }: { lead: string; value: Duration; label: string; session?: boolean; onChange: (value: Duration) => void }) {
  const timed = value.unit !== "ever" && value.unit !== "session";
  const units: [string, string][] = [...UNITS, ...(session ? [["session", "this visit"] as [string, string]] : []), ["ever", "ever"]];
  return (
    <span class="rule-builder-duration">
      <span aria-hidden="true">{lead}</span>
      {timed && <input form="rule-builder-none" class="rule-builder-short" type="number" min="1" step="1" aria-label={label} value={value.amount} onKeyDown={keepForm}
        onInput={(event) => onChange({ ...value, amount: event.currentTarget.value })} />}
      <Choice value={value.unit} choices={units} label={`${label}, unit`}
        onChange={(unit) => onChange({ amount: value.amount || "1", unit: unit as Duration["unit"] })} />
    </span>
  );
}

interface WheresProps {
  rows: Where[];
  event: string;
  events: EventName[];
  label: string;
  onChange: (rows: Where[]) => void;
}

function Wheres({ rows, event, events, label, onChange }: WheresProps) {
  const set = (index: number, change: Partial<Where>) => onChange(rows.map((row, at) => (at === index ? { ...row, ...change } : row)));
  const kindOf = (property: string) => events.find((one) => one.key === event)?.properties[`properties.${property}`];
  return (
    <Fragment>
      {rows.map((row, index) => (
        <span class="rule-builder-where" role="group" aria-label={`Property ${index + 1} of ${label}`} key={index}>
          <span aria-hidden="true">{index ? "and" : "where"}</span>
          <Property value={row.property} event={event} events={events} label={`Property ${index + 1} of ${label}`}
            onChange={(property) => set(index, { property, kind: typed(kindOf(property)) ?? row.kind })} />
          <Choice value={row.operator} choices={WHERES.map(([name, title]) => [name, title])} label={`Comparison of property ${index + 1} of ${label}`} onChange={(operator) => set(index, { operator })} />
          <input form="rule-builder-none" type="text" aria-label={`Value of property ${index + 1} of ${label}`} value={row.value} onKeyDown={keepForm}
            placeholder={row.operator === "in" ? "one, another" : ""} onInput={(input) => set(index, { value: input.currentTarget.value })} />
          <Choice value={row.kind} choices={[["text", "text"], ["number", "number"], ["boolean", "yes or no"]]} label={`Kind of property ${index + 1} of ${label}`} onChange={(kind) => set(index, { kind: kind as Where["kind"] })} />
          <button type="button" class="rule-builder-icon" aria-label={`Remove property ${index + 1} of ${label}`} onClick={() => onChange(rows.filter((_, at) => at !== index))}>×</button>
        </span>
      ))}
      <button type="button" class="rule-builder-add" aria-label={`Add a property to ${label}`}
        onClick={() => onChange([...rows, { property: "", operator: "eq", value: "", kind: "text" }])}>+ where</button>
    </Fragment>
  );
}

function typed(kind: string | undefined): Where["kind"] | undefined {
  return kind === "number" || kind === "boolean" || kind === "text" ? kind : undefined;
}

function By({ value, event, events, label, lead, onChange }: { value: string; event: string; events: EventName[]; label: string; lead: string; onChange: (value: string) => void }) {
  return (
    <span class="rule-builder-duration">
      <span aria-hidden="true">{lead}</span>
      <Property value={value} event={event} events={events} label={`What is the same in ${label} (may be empty)`} onChange={onChange} />
    </span>
  );
}

function keepForm(event: KeyboardEvent): void {
  if (event.key === "Enter") event.preventDefault();
}
