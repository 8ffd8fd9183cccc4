/** The builder's language: what it writes it reads back, and what it cannot show it leaves alone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";

const bundle = await build({
  absWorkingDir: new URL("..", import.meta.url).pathname,
  entryPoints: ["src/language.ts"], bundle: true, write: false, format: "esm",
});
const { fromRule, labelOf, NotShown, OPERATORS, readVocabulary, sentenceOf, toRule, unfinishedIn } = await import(
  `data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].contents).toString("base64")}`
);

const vocabulary = readVocabulary({
  facts: [
    { name: "orders", title: "Orders", type: "number", group: "Traits", purposes: ["personalization"], options: [] },
    { name: "tier", title: "Tier", type: "text", group: "Traits", purposes: [], options: [] },
    { name: "member", title: "Member", type: "boolean", group: "Traits", purposes: [], options: [] },
    { name: "birthday", title: "Birthday", type: "date", group: "Traits", purposes: [], options: [] },
    { name: "interests", title: "Interests", type: "list", group: "Traits", purposes: [], options: [] },
    { name: "context.country", title: "Country", type: "text", group: "Context", purposes: [], options: ["DE", "AT"] },
    { name: "context.device", title: "Device", type: "text", group: "Context", purposes: [], options: [{ key: "mobile", title: "mobile" }] },
    { name: "context.time", title: "Local time", type: "text", group: "Context", purposes: [], options: [] },
    { name: "context.hour", title: "Hour", type: "number", group: "Context", purposes: [], options: [] },
  ],
  segments: [{ key: "vip", title: "VIP" }, { key: "new", title: "New visitors" }],
});

const D = "2026-11-22T07:30:00Z";
const E = "2026-12-01T00:00:05Z";
const W = { "context.time": { $gte: "09:00", $lt: "17:00" } };
const NIGHT = { $or: [{ "context.time": { $gte: "22:00" } }, { "context.time": { $lt: "02:00" } }] };
const NIGHT_HOURS = { $or: [{ "context.hour": { $gte: 22 } }, { "context.hour": { $lt: 2 } }] };

/** One written form of every operator of every kind: [kind, operator, rule]. */
const FORMS = [
  ["text", "is", { tier: { $eq: "gold" } }],
  ["text", "is_not", { tier: { $ne: "gold" } }],
  ["text", "in", { tier: { $in: ["gold", "a, b"] } }],
  ["text", "not_in", { tier: { $nin: ["gold"] } }],
  ["text", "exists", { tier: { $exists: true } }],
  ["text", "absent", { tier: { $exists: false } }],
  ["number", "is", { orders: { $eq: 5 } }],
  ["number", "is_not", { orders: { $ne: 0.5 } }],
  ["number", "gte", { orders: { $exists: true, $gte: 5 } }],
  ["number", "gt", { orders: { $exists: true, $gt: -5 } }],
  ["number", "lte", { orders: { $exists: true, $lte: 5 } }],
  ["number", "lt", { "birthday.days_ago": { $exists: true, $lt: 30 } }],
  ["number", "between", { orders: { $exists: true, $gte: 5, $lte: 10 } }],
  ["number", "from_below", { orders: { $exists: true, $gte: 5, $lt: 10 } }],
  ["number", "in", { orders: { $in: [1, 2] } }],
  ["number", "not_in", { orders: { $nin: [1, 2] } }],
  ["number", "exists", { orders: { $exists: true } }],
  ["number", "absent", { orders: { $exists: false } }],
  ["boolean", "true", { member: { $eq: true } }],
  ["boolean", "false", { member: { $eq: false } }],
  ["boolean", "exists", { member: { $exists: true } }],
  ["boolean", "absent", { member: { $exists: false } }],
  ["date", "before", { birthday: { $exists: true, $lt: D } }],
  ["date", "gte", { birthday: { $exists: true, $gte: D } }],
  ["date", "after", { birthday: { $exists: true, $gt: E } }],
  ["date", "lte", { birthday: { $exists: true, $lte: D } }],
  ["date", "between", { birthday: { $exists: true, $gte: D, $lt: E } }],
  ["date", "exists", { birthday: { $exists: true } }],
  ["date", "absent", { birthday: { $exists: false } }],
  ["list", "any", { interests: { $in: ["hiking", "food"] } }],
  ["list", "all", { interests: { $all: ["hiking"] } }],
  ["list", "none", { interests: { $nin: ["hiking"] } }],
  ["list", "exists", { interests: { $exists: true } }],
  ["list", "absent", { interests: { $exists: false } }],
  ["segments", "any", { segments: { $in: ["vip", "new"] } }],
  ["segments", "all", { segments: { $all: ["vip"] } }],
  ["segments", "none", { segments: { $nin: ["new"] } }],
  ["time", "window", W],
  ["time", "window", NIGHT],
  ["time", "gte", { "context.time": { $exists: true, $gte: "09:00" } }],
  ["time", "before", { "context.time": { $exists: true, $lt: "09:00" } }],
  ["hour", "window", { "context.hour": { $gte: 9, $lt: 17 } }],
  ["hour", "window", NIGHT_HOURS],
  ["hour", "is", { "context.hour": { $eq: 9 } }],
  ["hour", "is_not", { "context.hour": { $ne: 9 } }],
  ["hour", "gte", { "context.hour": { $exists: true, $gte: 9 } }],
  ["hour", "gt", { "context.hour": { $exists: true, $gt: 9 } }],
  ["hour", "lte", { "context.hour": { $exists: true, $lte: 9 } }],
  ["hour", "lt", { "context.hour": { $exists: true, $lt: 9 } }],
  ["hour", "in", { "context.hour": { $in: [9, 10] } }],
  ["hour", "not_in", { "context.hour": { $nin: [9] } }],
];

const roundTrip = (rule) => toRule(fromRule(rule, vocabulary), vocabulary);

for (const [kind, operator, rule] of FORMS) {
  test(`${kind} ${operator} is read as one row and written as it was: ${JSON.stringify(rule)}`, () => {
    const query = fromRule(rule, vocabulary);
    assert.equal(query.rules.length, 1);
    assert.equal(query.rules[0].operator, operator);
    assert.equal(JSON.stringify(toRule(query, vocabulary)), JSON.stringify(rule));
    assert.equal(unfinishedIn(query, vocabulary).size, 0);
  });
}

test("every operator of every kind has a written form above", () => {
  const behaviour = new Set(["did", "seq"]); // whose written forms are at the end
  const offered = Object.entries(OPERATORS).filter(([kind]) => !behaviour.has(kind)).flatMap(([kind, all]) => all.map(({ name }) => `${kind} ${name}`));
  assert.deepEqual(new Set(FORMS.map(([kind, name]) => `${kind} ${name}`)), new Set(offered));
});

for (const rule of [
  {},
  { $and: [{ tier: { $eq: "gold" } }, { orders: { $exists: true, $gte: 5 } }] },
  { $or: [{ tier: { $eq: "gold" } }, { orders: { $exists: true, $gte: 5 } }] },
  { $nor: [{ tier: { $eq: "gold" } }] },
  { $and: [{ $or: [W, { $nor: [NIGHT, NIGHT_HOURS] }] }] },
  { $or: [{ $and: [NIGHT, { segments: { $in: ["vip"] } }] }, { $and: [{ tier: { $exists: true } }] }] },
]) {
  test(`groups survive: ${JSON.stringify(rule)}`, () => {
    assert.equal(JSON.stringify(roundTrip(rule)), JSON.stringify(rule));
  });
}

test("several keys of one object are one group where all hold", () => {
  const rule = { tier: { $eq: "gold" }, "context.device": { $eq: "mobile" } };
  assert.deepEqual(roundTrip(rule), { $and: [{ tier: { $eq: "gold" } }, { "context.device": { $eq: "mobile" } }] });
});

test("a negated condition is a group where none holds", () => {
  assert.deepEqual(roundTrip({ $not: { tier: { $eq: "gold" } } }), { $nor: [{ tier: { $eq: "gold" } }] });
});

for (const rule of [
  [], 5, null, "text",
  { tier: "gold" },
  { tier: { $eq: "" } },
  { tier: { $eq: 5 } },
  { tier: { $in: [] } },
  { tier: { $in: ["gold", null] } },
  { tier: { $regex: "^g" } },
  { tier: { $exists: true, $eq: "gold" } },
  { tier: { $not: { $eq: "gold" } } },
  { tier: {} },
  { orders: { $gte: 5 } },
  { orders: { $exists: false, $gte: 5 } },
  { orders: { $exists: true, $gte: "5" } },
  { orders: { $exists: true, $gt: 5, $lt: 9 } },
  { member: { $eq: "true" } },
  { member: { $exists: 1 } },
  { birthday: { $exists: true, $lt: "2026-11-22" } },
  { "context.time": { $gte: "22:00", $lt: "02:00" } },
  { "context.time": { $gte: "9:00", $lt: "17:00" } },
  { "context.hour": { $eq: 24 } },
  { unheard_of: { $eq: 1 } },
  { $or: [] },
  { $or: { tier: { $eq: "gold" } } },
  { $and: [{}] },
  { $and: [{ tier: { $eq: "gold" } }, { $did: { event: "Product Viewed" } }] },
  { $seq: { steps: [{ event: "Product Added" }] } },
  { segments: { $elemMatch: { $eq: "vip" } } },
]) {
  test(`is not shown, with a sentence: ${JSON.stringify(rule)}`, () => {
    assert.throws(() => fromRule(rule, vocabulary), (error) => error instanceof NotShown && /^[A-Z$].*\.$/.test(error.message));
  });
}

for (const [row, words] of [
  [{ field: "", operator: "", value: "" }, /Choose a fact/],
  [{ field: "gone", operator: "is", value: "x" }, /not a known fact/],
  [{ field: "tier", operator: "gte", value: "x" }, /Choose an operator/],
  [{ field: "tier", operator: "is", value: "" }, /Enter a value/],
  [{ field: "tier", operator: "in", value: [] }, /at least one value/],
  [{ field: "orders", operator: "gte", value: "many" }, /Enter a number/],
  [{ field: "orders", operator: "between", value: ["5", ""] }, /Enter a number/],
  [{ field: "orders", operator: "between", value: ["5", "4"] }, /never matches/],
  [{ field: "birthday", operator: "between", value: ["2026-11-22T07:30", "2026-11-22T07:30"] }, /never matches/],
  [{ field: "context.time", operator: "window", value: ["22:00", "22:00"] }, /never matches/],
  [{ field: "context.hour", operator: "is", value: "24" }, /0 to 23/],
  [{ field: "segments", operator: "any", value: ["gone"] }, /not a known segment/],
]) {
  test(`is unfinished, and kept: ${JSON.stringify(row)}`, () => {
    const query = { id: "root", combinator: "and", rules: [{ id: "row", ...row }] };
    assert.match(unfinishedIn(query, vocabulary).get("row"), words);
    const rule = toRule(query, vocabulary);
    assert.deepEqual(rule, { $unfinished: row });
    assert.deepEqual(fromRule(rule, vocabulary).rules, [row]);
  });
}

test("an empty group is unfinished, and kept", () => {
  const query = { id: "root", combinator: "or", rules: [{ id: "group", combinator: "nor", rules: [] }] };
  assert.equal(unfinishedIn(query, vocabulary).size, 1);
  const rule = toRule(query, vocabulary);
  assert.deepEqual(rule, { $or: [{ $nor: [{ $unfinished: {} }] }] });
  assert.deepEqual(fromRule(rule, vocabulary), { combinator: "or", rules: [{ combinator: "nor", rules: [] }] });
});

for (const [rule, sentence] of [
  [{}, "Always: there is no condition."],
  [
    { $and: [{ orders: { $exists: true, $gte: 5 } }, { $or: [{ "context.country": { $in: ["DE", "AT"] } }, { "context.device": { $eq: "mobile" } }] }] },
    "Orders is at least 5 and (country is one of DE, AT, or device is mobile).",
  ],
  [{ $nor: [{ member: { $eq: true } }, NIGHT] }, "None of these: member is true; local time is between 22:00 and 02:00."],
  [{ segments: { $nin: ["vip"] } }, "The visitor is in none of the segments VIP."],
  [{ orders: { $exists: true, $gte: 5, $lt: 10 } }, "Orders is from 5 to below 10."],
  [{ "birthday.days_ago": { $exists: true, $lt: 30 } }, "Birthday is less than 30 days ago."],
  [{ tier: { $exists: true } }, "Tier exists."],
  [{ $unfinished: { field: "tier", operator: "is", value: "" } }, "Tier is …"],
  [{ birthday: { $exists: true, $lt: D } }, "Birthday is before 2026-11-22 07:30 UTC."],
]) {
  test(`reads as: ${sentence}`, () => assert.equal(sentenceOf(fromRule(rule, vocabulary), vocabulary), sentence));
}

test("a fact is named with its purposes, and each date brings its days ago", () => {
  assert.equal(labelOf(vocabulary.get("orders")), "Orders · personalization");
  assert.equal(vocabulary.get("birthday.days_ago").title, "Birthday, days ago");
  assert.deepEqual([...new Set([...vocabulary.values()].map(({ group }) => group))], ["Context", "Traits", "Segments"]);
});

const behaving = readVocabulary({
  facts: [
    { name: "orders", title: "Orders", type: "number" },
    { name: "features.last_seen_at", title: "last visit", type: "date" },
    { name: "features.orders", title: "orders", type: "number" },
    { name: "context.device", title: "Device", type: "text", options: ["mobile"] },
  ],
  segments: [],
  behaviour: true,
  events: [{ key: "Product Viewed", title: "Product Viewed", properties: { "properties.price": "number" } }, { key: "Product Added", title: "Product Added", properties: {} }],
});

for (const [rule, sentence] of [
  [{ $did: { event: "Product Viewed", within: "PT1H", by: "properties.category", count: { $gt: 2 } } }, "The visitor did “Product Viewed” more than 2 times within 1 hour with one category."],
  [{ $did: { event: "Product Viewed", where: { "properties.category": { $eq: "hiking" } }, within: "P1D", count: { $gte: 1 } } }, "The visitor did “Product Viewed” at least 1 time where category is hiking within 1 day."],
  [{ $did: { event: "*", within: "P2D", count: { $eq: 0 } } }, "The visitor never did “anything but page views” within 2 days."],
  [{ $did: { event: "Product Viewed", within: "PT10M", distinct: { of: "properties.product_id", $gte: 3 } } }, "How many different product_id of “Product Viewed” is at least 3 within 10 minutes."],
  [{ $did: { event: "Order Completed", sum: { of: "properties.revenue", $gte: 50, $lte: 90.5 } } }, "The sum of revenue of “Order Completed” is between 50 and 90.5."],
  [{ $did: { event: "Product Viewed", where: { "properties.price": { $gte: 5 }, "properties.sale": { $eq: true }, "properties.brand": { $in: ["a", "b"] } }, within: "session", count: { $eq: 2 } } }, "The visitor did “Product Viewed” exactly 2 times where price is at least 5 and sale is true and brand is one of a, b within this visit."],
  [{ $seq: { steps: [{ event: "Product Added" }, { event: "Order Completed", absent: true }], gap: "PT30M", since: "PT24H" } }, "The visitor did “Product Added”, then no “Order Completed” each within 30 minutes in the last 24 hours."],
  [{ $seq: { steps: [{ event: "Product Added", where: { "properties.price": { $gt: 5 } } }, { event: "Order Completed" }], since: "P7D", by: "properties.cart_id" } }, "The visitor did “Product Added” where price is more than 5, then “Order Completed” in the last 7 days with the same cart_id."],
]) {
  test(`is written as it was read: ${sentence}`, () => {
    const query = fromRule(rule, behaving);
    assert.deepEqual(toRule(query, behaving), rule);
    assert.equal(sentenceOf(query, behaving), sentence);
    assert.equal(unfinishedIn(query, behaving).size, 0);
    assert.deepEqual(toRule(fromRule({ $or: [rule, { orders: { $eq: 1 } }] }, behaving), behaving), { $or: [rule, { orders: { $eq: 1 } }] });
  });
}

for (const rule of [
  { $did: { event: "A", within: "P1DT2H" } },
  { $did: { event: "A", where: { $or: [{ "properties.a": { $eq: 1 } }] } } },
  { $did: { event: "A", where: { "properties.a": { $in: ["x, y"] } } } },
  { $did: { event: "A", count: { $gte: 1 }, sum: { of: "properties.a", $gte: 1 } } },
  { $did: { event: "A", count: { $in: [1, 2] } } },
  { $seq: { steps: [] } },
  { $seq: { steps: [{ event: "A" }], within: "P1D" } },
]) {
  test(`stays JSON: ${JSON.stringify(rule)}`, () => assert.throws(() => fromRule(rule, behaving), NotShown));
}

for (const [draft, words] of [
  [{}, /Choose an event/],
  [{ event: "A", low: "" }, /Enter a number/],
  [{ event: "A", measure: "sum", low: "1" }, /property that is measured/],
  [{ event: "A", low: "1", within: { amount: "0", unit: "D" } }, /how long/],
  [{ event: "A", low: "3", high: "2", compare: "between" }, /never matches/],
  [{ event: "A", low: "1", where: [{ property: "", operator: "eq", value: "x", kind: "text" }] }, /Name a property/],
  [{ event: "A", low: "1", where: [{ property: "price", operator: "gt", value: "dear", kind: "number" }] }, /number for the property/],
]) {
  test(`behaviour is unfinished, and kept: ${JSON.stringify(draft)}`, () => {
    const value = { event: "", measure: "count", of: "", compare: "gte", low: "1", high: "", within: { amount: "", unit: "ever" }, by: "", where: [], ...draft };
    const row = { field: "$did", operator: "did", value };
    const query = { id: "root", combinator: "and", rules: [{ id: "row", ...row }] };
    assert.match(unfinishedIn(query, behaving).get("row"), words);
    assert.deepEqual(toRule(query, behaving), { $unfinished: row });
    assert.deepEqual(fromRule({ $unfinished: row }, behaving).rules, [row]);
  });
}

test("a row that becomes about behaviour begins with what is usual", () => {
  const query = { combinator: "and", rules: [{ id: "row", field: "$seq", operator: "seq", value: "" }] };
  assert.match(unfinishedIn(query, behaving).get("row"), /event for each step/);
});

test("every recipe of the gallery has its rows", async () => {
  const { readFileSync } = await import("node:fs");
  const recipes = JSON.parse(readFileSync(new URL("../../../personalization/recipes.json", import.meta.url), "utf8"));
  const rules = recipes.flatMap((recipe) => (recipe.segments ?? []).map((segment) => segment.rule)).filter(Boolean);
  const behaviours = rules.flatMap((rule) => JSON.stringify(rule).match(/"\$(did|seq)"/g) ?? []);
  assert.ok(behaviours.length > 10);
  const names = new Set(rules.flatMap((rule) => JSON.stringify(rule).match(/"[a-z][a-z_.]*":\{/g) ?? []).map((text) => text.slice(1, -3)));
  const segments = recipes.flatMap((recipe) => recipe.segments ?? []).map(({ key }) => ({ key, title: key }));
  for (const rule of rules) {
    const facts = [...names].filter((name) => !name.endsWith(".days_ago")).map((name) => ({ name, type: typeOf(name, rules) }));
    const dates = [...names].filter((name) => name.endsWith(".days_ago")).map((name) => ({ name: name.slice(0, -9), type: "date" }));
    const known = readVocabulary({ facts: [...facts.filter(({ name }) => !dates.some((date) => date.name === name)), ...dates], segments, behaviour: true, events: [] });
    assert.doesNotThrow(() => fromRule(rule, known), JSON.stringify(rule));
  }
});

/** Guess the type of a fact from what the recipes compare it with. */
function typeOf(name, rules) {
  const text = JSON.stringify(rules);
  const compared = new RegExp(`"${name.replaceAll(".", "\\.")}":\\{[^}]*?"\\$(?:eq|in|gte|gt|lt|lte)":\\[?("?)`).exec(text);
  return compared?.[1] === '"' || !compared ? (name.includes("_at") ? "date" : "text") : "number";
}
