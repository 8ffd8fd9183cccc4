/**
 * The controls of a row: react-querybuilder's places, filled with labelled, keyboard-usable elements.
 *
 * Every control says which condition it belongs to ("Value of condition 1.2"), and an unfinished one points at
 * the sentence that says what is missing.
 */

import { Fragment, type ComponentChild } from "preact";
import { useState } from "preact/hooks";
import type {
  ActionProps, CombinatorSelectorProps, FieldSelectorProps, OperatorSelectorProps, ShiftActionsProps, ValueEditorProps,
} from "react-querybuilder";
import { OPERATORS, type Operator } from "./operators";
import { BehaviourEditor } from "./behaviour-editor";
import { type Row, draftOf, meaningOf, valuesOf } from "./query";
import { writeValue } from "./values";
import { type Fact, type Option, type Vocabulary, GROUPS, labelOf, titleOfOption } from "./vocabulary";

const ICONS = {
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  copy: "M6 6V3h7v7h-3M3 6h7v7H3z",
  cross: "M4 4l8 8M12 4l-8 8",
};

/** What every control is given beside its own props. */
export interface Surroundings {
  vocabulary: Vocabulary;
  unfinished: Map<string, string>;
}

interface EditorProps {
  fact: Fact;
  values: string[];
  label: string;
  messageId: string | undefined;
  onChange: (values: string[]) => void;
}

function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={ICONS[name]} fill="none" stroke="currentColor" stroke-width="1.5" />
    </svg>
  );
}

export function numberOf(path: number[]): string {
  return path.map((index) => index + 1).join(".");
}

export function messageIdOf(id: string | undefined): string {
  return `rule-message-${id}`;
}

export function FieldSelector(props: FieldSelectorProps) {
  const { vocabulary } = props.context as Surroundings;
  const facts = [...vocabulary.values()];
  const groups = [...new Set([...GROUPS, ...facts.map((fact) => fact.group)])];
  const known = !props.value || vocabulary.has(props.value);
  return (
    <select class="rule-builder-field" aria-label={`Fact of condition ${numberOf(props.path)}`} value={props.value}
      {...describedBy(props.rule as Row, props.context)} onChange={(event) => props.handleOnChange(event.currentTarget.value)}>
      <option value="">Choose a fact…</option>
      {!known && <option value={props.value}>{props.value} (unknown)</option>}
      {groups.map((group) => <FactGroup key={group} group={group} facts={facts.filter((fact) => fact.group === group)} />)}
    </select>
  );
}

function FactGroup({ group, facts }: { group: string; facts: Fact[] }) {
  if (!facts.length) return null;
  return (
    <optgroup label={group}>
      {facts.map((fact) => <option key={fact.name} value={fact.name}>{labelOf(fact)}</option>)}
    </optgroup>
  );
}

export function OperatorSelector(props: OperatorSelectorProps) {
  const fact = (props.context as Surroundings).vocabulary.get(props.field);
  if (!fact || fact.events) return null;
  return (
    <select class="rule-builder-operator" aria-label={`Operator of condition ${numberOf(props.path)}`} value={props.value}
      onChange={(event) => props.handleOnChange(event.currentTarget.value)}>
      {OPERATORS[fact.kind].map(({ name, label }) => <option key={name} value={name}>{label}</option>)}
    </select>
  );
}

export function CombinatorSelector(props: CombinatorSelectorProps) {
  const place = props.path.length ? `group ${numberOf(props.path)}` : "the whole rule";
  return (
    <label class="rule-builder-combinator">
      <select aria-label={`How conditions of ${place} combine`} value={props.value}
        onChange={(event) => props.handleOnChange(event.currentTarget.value)}>
        <option value="and">ALL</option>
        <option value="or">ANY</option>
        <option value="nor">NONE</option>
      </select>
      <span aria-hidden="true">of these hold</span>
    </label>
  );
}

export function ValueEditor(props: ValueEditorProps) {
  const { vocabulary, unfinished } = props.context as Surroundings;
  const row = props.rule as Row;
  const meaning = meaningOf(row, vocabulary);
  if (!meaning || meaning.operator.shape === "none") return null;
  const draft = draftOf(row, meaning.fact);
  if (draft) {
    return (
      <BehaviourEditor draft={draft} events={meaning.fact.events ?? []} label={`condition ${numberOf(props.path)}`}
        onChange={(changed) => props.handleOnChange(changed)} />
    );
  }
  const editor: EditorProps = {
    fact: meaning.fact,
    values: valuesOf(row, meaning.operator),
    label: `Value of condition ${numberOf(props.path)}`,
    messageId: unfinished.has(row.id ?? "") ? messageIdOf(row.id) : undefined,
    onChange: (values) => props.handleOnChange(meaning.operator.shape === "one" ? values[0] : values),
  };
  return <span class="rule-builder-values"><ShapedEditor {...editor} operator={meaning.operator} /></span>;
}

function ShapedEditor({ operator, ...editor }: EditorProps & { operator: Operator }) {
  if (operator.shape === "many") return <Chips {...editor} />;
  if (operator.shape === "one") return <OneValue {...editor} />;
  const [from, to] = editor.values;
  return (
    <Fragment>
      <OneValue {...editor} label={`${editor.label}, from`} values={[from]} onChange={([text]) => editor.onChange([text, to])} />
      <span aria-hidden="true">and</span>
      <OneValue {...editor} label={`${editor.label}, to`} values={[to]} onChange={([text]) => editor.onChange([from, text])} />
    </Fragment>
  );
}

function OneValue(editor: EditorProps) {
  const { fact, values: [value], label, onChange } = editor;
  if (!fact.options.length) return <Input {...editor} />;
  return (
    <select aria-label={label} value={value} {...invalidBy(editor.messageId)} onChange={(event) => onChange([event.currentTarget.value])}>
      <option value="">Choose…</option>
      {withStranger(fact.options, value).map(({ key, title }) => <option key={key} value={key}>{title}</option>)}
    </select>
  );
}

function Input({ fact, values: [value], label, messageId, onChange }: EditorProps) {
  const zone = fact.kind === "date" ? <span class="rule-builder-unit">UTC</span> : null;
  return (
    <Fragment>
      <input {...inputKind(fact, value)} aria-label={zone ? `${label} (UTC)` : label} value={value} {...invalidBy(messageId)}
        onInput={(event) => onChange([event.currentTarget.value])} onKeyDown={keepForm} />
      {zone}
    </Fragment>
  );
}

function Chips(editor: EditorProps) {
  const { fact, values, label, onChange } = editor;
  const remove = (gone: number) => onChange(values.filter((_, index) => index !== gone));
  return (
    <span class="rule-builder-chips" role="group" aria-label={label}>
      {values.map((value, index) => (
        <span class="rule-builder-chip" key={value}>
          {titleOfOption(fact, value)}
          <button type="button" aria-label={`Remove ${titleOfOption(fact, value)}`} onClick={focusNext(() => remove(index))}><Icon name="cross" /></button>
        </span>
      ))}
      {fact.options.length ? <AddChoice {...editor} /> : <AddText {...editor} />}
    </span>
  );
}

function AddChoice({ fact, values, label, messageId, onChange }: EditorProps) {
  const left = fact.options.filter((option) => !values.includes(option.key));
  if (!left.length) return null;
  return (
    <select aria-label={`Add to ${lower(label)}`} value="" {...invalidBy(messageId)}
      onChange={(event) => { onChange([...values, event.currentTarget.value]); event.currentTarget.value = ""; }}>
      <option value="">Add…</option>
      {left.map(({ key, title }) => <option key={key} value={key}>{title}</option>)}
    </select>
  );
}

function AddText({ fact, values, label, messageId, onChange }: EditorProps) {
  const [text, setText] = useState("");
  const add = () => {
    const value = text.trim();
    if (writeValue(fact.kind, value) === null) return;
    setText("");
    if (!values.includes(value)) onChange([...values, value]);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== ",") return;
    event.preventDefault();
    add();
  };
  return (
    <input {...inputKind(fact, text)} class="rule-builder-add-text" aria-label={`Add to ${lower(label)}`} placeholder="Add, then Enter"
      value={text} {...invalidBy(messageId)} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={onKeyDown} onBlur={add} />
  );
}

export function ShiftActions(props: ShiftActionsProps) {
  const what = nameOf(props);
  const id = `rule-move-${props.ruleOrGroup.id}`;
  const move = (shift: ShiftActionsProps["shiftUp"], button: string) => (event: MouseEvent) => {
    shift(event as never);
    keepFocus(`${id}-${button}`, id);
  };
  return (
    <span class="rule-builder-move">
      <button type="button" id={`${id}-up`} disabled={props.shiftUpDisabled} aria-label={`Move ${what} up`} title="Move up"
        onClick={move(props.shiftUp, "up")}><Icon name="up" /></button>
      <button type="button" id={`${id}-down`} disabled={props.shiftDownDisabled} aria-label={`Move ${what} down`} title="Move down"
        onClick={move(props.shiftDown, "down")}><Icon name="down" /></button>
    </span>
  );
}

/** Make the button of an action; `words` are on its face, `verb` is what it is called to a screen reader. */
function action(face: ComponentChild, verb: string, kind: string, click: (props: ActionProps, event: MouseEvent) => void) {
  return function Action(props: ActionProps) {
    return (
      <button type="button" class={`rule-builder-${kind}`} aria-label={`${verb} ${nameOf(props)}`} title={verb}
        onClick={(event) => click(props, event)}>{face}</button>
    );
  };
}

export const AddRow = action("+ Condition", "Add a condition to", "add", addAndFocus);
export const AddGroup = action("+ Group", "Add a group to", "add", addAndFocus);
export const Duplicate = action(<Icon name="copy" />, "Duplicate", "icon", (props, event) => props.handleOnClick(event as never));
export const Remove = action(<Icon name="cross" />, "Remove", "icon", (props, event) => {
  const parent = (event.currentTarget as Element).closest(".rule-builder-node")?.parentElement?.closest(".ruleGroup");
  props.handleOnClick(event as never);
  later(() => parent?.querySelector<HTMLElement>(".rule-builder-add")?.focus());
});

function nameOf(props: ActionProps | ShiftActionsProps): string {
  if (!props.path.length) return "the rule";
  return `${"rules" in props.ruleOrGroup ? "group" : "condition"} ${numberOf(props.path)}`;
}

function addAndFocus(props: ActionProps, event: MouseEvent): void {
  const group = (event.currentTarget as Element).closest(".ruleGroup");
  props.handleOnClick(event as never);
  later(() => group?.querySelector<HTMLElement>(":scope > .ruleGroup-body > :last-child select.rule-builder-field")?.focus());
}

/** Focus a moved row again: moving its element takes the focus away, and at an end its button is disabled. */
function keepFocus(button: string, id: string): void {
  later(() => {
    const wanted = document.getElementById(button) as HTMLButtonElement | null;
    const other = document.querySelector<HTMLButtonElement>(`[id^="${id}-"]:not(:disabled)`);
    (wanted?.disabled ? other : wanted)?.focus();
  });
}

function focusNext(remove: () => void) {
  return (event: MouseEvent) => {
    const chips = (event.currentTarget as Element).closest(".rule-builder-chips");
    remove();
    later(() => chips?.querySelector<HTMLElement>("select, input, button")?.focus());
  };
}

function later(act: () => void): void {
  setTimeout(act, 30);
}

/** The page's form does not own these inputs: the browser would refuse it without a word where they are folded away. */
function inputKind(fact: Fact, text: string) {
  const form = "rule-builder-none";
  if (fact.kind === "number") return { form, type: "number", step: "any" };
  if (fact.kind === "hour") return { form, type: "number", step: "1", min: 0, max: 23 };
  if (fact.kind === "date") return { form, type: "datetime-local", step: text.length > 16 ? "1" : "60" };
  return { form, type: fact.kind === "time" ? "time" : "text" };
}

function withStranger(options: Option[], value: string): Option[] {
  const known = value === "" || options.some((option) => option.key === value);
  return known ? options : [...options, { key: value, title: value }];
}

function describedBy(row: Row, { unfinished }: Surroundings) {
  return row.field ? {} : invalidBy(unfinished.has(row.id ?? "") ? messageIdOf(row.id) : undefined);
}

function invalidBy(messageId: string | undefined) {
  return messageId ? { "aria-invalid": true, "aria-describedby": messageId } : {};
}

/** Enter in a value belongs to the rule and does not send the page's form. */
function keepForm(event: KeyboardEvent): void {
  if (event.key === "Enter") event.preventDefault();
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
