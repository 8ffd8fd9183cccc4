/**
 * The builder of one rule: its sentence, its groups and rows, or the reason why it is shown as JSON alone.
 *
 * In: the rule's text as it stands in the textarea. Out: `onChange` with the new text, on every change made here
 * and never otherwise, so that opening a page changes no rule.
 */

import { useEffect, useMemo, useRef } from "preact/hooks";
import {
  type RuleGroupProps, type RuleGroupType, type RuleProps, type RuleType, QueryBuilder, Rule, RuleGroup,
} from "react-querybuilder";
import {
  AddGroup, AddRow, CombinatorSelector, Duplicate, FieldSelector, OperatorSelector, Remove, ShiftActions, ValueEditor,
  messageIdOf, type Surroundings,
} from "./controls";
import { OPERATORS } from "./operators";
import type { Group } from "./query";
import { sentenceOf } from "./sentence";
import { unfinishedIn } from "./unfinished";
import type { Vocabulary } from "./vocabulary";

export interface BuilderProps {
  vocabulary: Vocabulary;
  query: Group;
  onChange: (query: Group) => void;
}

const COMBINATORS = [{ name: "and", label: "ALL" }, { name: "or", label: "ANY" }, { name: "nor", label: "NONE" }];

const CONTROLS = {
  fieldSelector: FieldSelector,
  operatorSelector: OperatorSelector,
  combinatorSelector: CombinatorSelector,
  valueEditor: ValueEditor,
  shiftActions: ShiftActions,
  addRuleAction: AddRow,
  addGroupAction: AddGroup,
  cloneRuleAction: Duplicate,
  cloneGroupAction: Duplicate,
  removeRuleAction: Remove,
  removeGroupAction: Remove,
  rule: RuleWithMessage,
  ruleGroup: GroupWithMessage,
};

/** A new row names no fact: the editor chooses, instead of correcting a first one that was never meant. */
const BLANK = { field: "", operator: "", value: "" };
const CLASSES = { queryBuilder: "rule-builder-query" };

export function Builder({ vocabulary, query, onChange }: BuilderProps) {
  const unfinished = unfinishedIn(query, vocabulary);
  const fields = useMemo(() => [...vocabulary.values()].map(({ name, title }) => ({ name, label: title })), [vocabulary]);
  // The builder lies inside the page's form and is no form of its own, whatever the library calls it.
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => place.current?.querySelector("[role=form]")?.removeAttribute("role"), []);
  const defaultOperator = (name: string) => OPERATORS[vocabulary.get(name)?.kind ?? "text"][0].name;
  return (
    <div class="rule-builder-visual" ref={place}>
      <p class="rule-builder-sentence" aria-live="polite">{sentenceOf(query, vocabulary)}</p>
      <QueryBuilder
        query={query as RuleGroupType}
        onQueryChange={(changed: RuleGroupType) => changed !== query && onChange(changed as Group)}
        fields={fields} combinators={COMBINATORS} controlElements={CONTROLS as never} controlClassnames={CLASSES}
        onAddRule={(row: RuleType) => ({ ...row, ...BLANK })}
        onAddGroup={(group: RuleGroupType) => ({ ...group, rules: group.rules.map((row) => ({ ...row, ...BLANK })) as RuleType[] })}
        accessibleDescriptionGenerator={() => ""}
        getDefaultOperator={(name: string) => defaultOperator(name)} getDefaultValue={() => ""}
        context={{ vocabulary, unfinished } satisfies Surroundings}
        addRuleToNewGroups showCloneButtons showShiftActions resetOnOperatorChange={false} enableMountQueryChange={false}
        suppressStandardClassnames={false}
      />
    </div>
  );
}

function RuleWithMessage(props: RuleProps) {
  return (
    <div class="rule-builder-node rule-builder-row" role="group" aria-label={`Condition ${place(props.path)}`}>
      <Rule {...props} />
      <Message id={props.id} context={props.context} />
    </div>
  );
}

function GroupWithMessage(props: RuleGroupProps) {
  const label = props.path.length ? `Group ${place(props.path)}` : "Rule";
  return (
    <div class="rule-builder-node rule-builder-group" role="group" aria-label={label}>
      <RuleGroup {...props} />
      <Message id={props.id} context={props.context} />
    </div>
  );
}

function Message({ id, context }: { id?: string; context?: Surroundings }) {
  const text = context?.unfinished.get(id ?? "");
  if (!text) return null;
  return <p class="rule-builder-message" id={messageIdOf(id)}>Unfinished: {text}</p>;
}

function place(path: number[]): string {
  return path.map((index) => index + 1).join(".");
}
