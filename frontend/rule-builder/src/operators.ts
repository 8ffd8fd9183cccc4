/**
 * The operators of a row, by kind of fact. Each has the words that the editor reads, the shape of
 * its value, and the keys of the condition grammar that it is written with, in their order.
 *
 * The keys are the authoring profile: an order comparison stands beside `$exists: true`, so that
 * an absent fact never matches it. The local time is never absent, so its windows need none.
 */

import type { Kind } from "./vocabulary";

export type Shape = "none" | "one" | "two" | "many";

export interface Operator {
  name: string;
  label: string;
  shape: Shape;
  /** The operators of the grammar that take the values, in order. */
  keys: string[];
  /** What stands in place of a value, for operators of shape `none`. */
  constant?: boolean;
  /** Whether `$exists: true` stands beside the keys. */
  guarded?: boolean;
  /** Whether the interval may wrap over midnight. */
  window?: boolean;
}

const one = (name: string, label: string, key: string): Operator => ({ name, label, shape: "one", keys: [key] });
const many = (name: string, label: string, key: string): Operator => ({ name, label, shape: "many", keys: [key] });
const order = (name: string, label: string, key: string): Operator => ({ ...one(name, label, key), guarded: true });
const range = (name: string, label: string, end: string): Operator => ({
  name, label, shape: "two", keys: ["$gte", end], guarded: true,
});
const constant = (name: string, label: string, key: string, value: boolean): Operator => ({
  name, label, shape: "none", keys: [key], constant: value,
});

const EXISTENCE = [
  constant("exists", "exists", "$exists", true),
  constant("absent", "does not exist", "$exists", false),
];
const WINDOW: Operator = { name: "window", label: "is between", shape: "two", keys: ["$gte", "$lt"], window: true };
const NUMBER = [
  one("is", "is", "$eq"),
  one("is_not", "is not", "$ne"),
  order("gte", "is at least", "$gte"),
  order("gt", "is more than", "$gt"),
  order("lte", "is at most", "$lte"),
  order("lt", "is less than", "$lt"),
];
const ONE_OF = [many("in", "is one of", "$in"), many("not_in", "is none of", "$nin")];

export const OPERATORS: Record<Kind, Operator[]> = {
  text: [one("is", "is", "$eq"), one("is_not", "is not", "$ne"), ...ONE_OF, ...EXISTENCE],
  number: [...NUMBER, range("between", "is between", "$lte"), range("from_below", "is from … to below", "$lt"), ...ONE_OF, ...EXISTENCE],
  boolean: [constant("true", "is true", "$eq", true), constant("false", "is false", "$eq", false), ...EXISTENCE],
  date: [
    order("before", "is before", "$lt"),
    order("gte", "is at or after", "$gte"),
    order("after", "is after", "$gt"),
    order("lte", "is at or before", "$lte"),
    range("between", "is from … until", "$lt"),
    ...EXISTENCE,
  ],
  list: [many("any", "contains any of", "$in"), many("all", "contains all of", "$all"), many("none", "contains none of", "$nin"), ...EXISTENCE],
  segments: [many("any", "in any of", "$in"), many("all", "in all of", "$all"), many("none", "in none of", "$nin")],
  time: [WINDOW, order("gte", "is at or after", "$gte"), order("before", "is before", "$lt")],
  hour: [WINDOW, ...NUMBER, ...ONE_OF],
  did: [{ name: "did", label: "", shape: "one", keys: ["$did"] }],
  seq: [{ name: "seq", label: "", shape: "one", keys: ["$seq"] }],
};

export function operatorOf(kind: Kind, name: string): Operator | undefined {
  return OPERATORS[kind].find((operator) => operator.name === name);
}
