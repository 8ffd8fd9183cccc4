/** The committed script against the cases that the server is held to as well (tests/cases/receipts.json). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const cases = JSON.parse(read("tests/cases/receipts.json"));
const { askAt, canonical, check, hashOfCheckpoint, leadsTo } = new Function(`${read("consent/static/consent/verify.js")}; return TesseraReceipt`)();
const HREF = "https://shop.example/.well-known/consent-ledger.json";
const NOUGHTS = "0".repeat(64);

/** Publish something for one check; what was asked is in `asked`. */
async function checked(receipt, published = cases.published, asked = []) {
  globalThis.fetch = async (url, options) => {
    asked.push([String(url), options]);
    if (published === null) throw new TypeError("Failed to fetch");
    return Response.json(published);
  };
  return check(receipt, askAt(HREF));
}

const failed = ({ steps }) => steps.filter(({ state }) => state === "failed").map(({ name, why }) => `${name} ${why}`);
const left = ({ steps }) => steps.filter(({ state }) => state === "unchecked").map(({ name, why }) => `${name} ${why}`);

for (const { name, json, text } of cases.canonical) {
  test(`is spelled as the server spells it: ${name}`, () => assert.equal(canonical(JSON.parse(json)), text));
}

for (const value of [NaN, Infinity, "\ud800", "a\udc00b", { "\ud83d": 1 }, undefined, [undefined], 5n]) {
  test(`has no spelling: ${typeof value} ${String(value)}`, () => assert.throws(() => canonical(value), TypeError));
}

for (const { name, entry, path, root } of cases.paths) {
  test(`leads to its root, and to no other: ${name}`, async () => {
    assert.ok(await leadsTo(entry, path, root));
    assert.ok(!(await leadsTo(entry, path, NOUGHTS)));
    assert.ok(!(await leadsTo(NOUGHTS, path, root)));
    if (path.length) assert.ok(!(await leadsTo(entry, path.slice(1), root)));
  });
}

test("every receipt of the history holds", async () => {
  for (const receipt of cases.receipts) {
    const { verdict, steps } = await checked(receipt);
    assert.equal(verdict, "holds");
    assert.deepEqual(steps.map(({ name }) => name), ["words", "hash", "path", "checkpoint", "signature", "key", "published"]);
  }
});

test("a receipt without a checkpoint says that it has none yet", async () => {
  const result = await checked(cases.fresh);
  assert.equal(result.verdict, "pending");
  assert.deepEqual(left(result), ["path pending", "checkpoint pending", "signature pending", "published pending"]);
});

const [receipt] = cases.receipts;
for (const [name, change, expected] of [
  ["another answer in words", (r) => (r.purposes[0].event_state = "granted"), "words differs"],
  ["another purpose in words", (r) => (r.purposes[0].purpose = "analytics"), "words differs"],
  ["another moment in words", (r) => (r.event_time = "2026-01-01T00:00:00Z"), "words differs"],
  ["another person in words", (r) => (r.pii_principal_id = "00000000-0000-0000-0000-000000000000"), "words differs"],
  ["a purpose too many", (r) => r.purposes.push(r.purposes[0]), "words differs"],
  ["another answer in the ledger", (r) => (r.ledger[0].clear.action = "granted"), "hash differs"],
  ["a column too many", (r) => (r.ledger[0].clear.more = "x"), "hash differs"],
  ["a column too few", (r) => delete r.ledger[0].clear.gpc, "hash differs"],
  ["a number as text", (r) => (r.ledger[0].clear.site_id = "1"), "hash differs"],
  ["a lone surrogate", (r) => (r.ledger[0].clear.regime = "\ud800"), "hash differs"],
  ["another commitment", (r) => (r.ledger[0].commitment = NOUGHTS), "hash differs"],
  ["another one before", (r) => (r.ledger[0].prev = ""), "hash differs"],
  ["another hash", (r) => (r.ledger[0].hash = NOUGHTS), "path differs"],
  ["another sibling", (r) => (r.ledger[0].path[0].hash = NOUGHTS), "path differs"],
  ["the other side", (r) => (r.ledger[0].path[0].side = "left"), "path differs"],
  ["another root", (r) => (r.ledger[0].checkpoint.root = NOUGHTS), "checkpoint differs"],
  ["another moment of the checkpoint", (r) => (r.ledger[0].checkpoint.at = "2026-11-22T08:02:00+00:00"), "checkpoint differs"],
  ["another signature", (r) => (r.ledger[0].checkpoint.signature = btoa("x".repeat(64))), "signature bad"],
  ["a signature that is none", (r) => (r.ledger[0].checkpoint.signature = "!"), "signature bad"],
  ["another key", (r) => (r.ledger_key = btoa("k".repeat(32))), "key other"],
  ["a key that is none", (r) => (r.ledger_key = "!"), "signature bad"],
  ["another number of the checkpoint", (r) => (r.ledger[0].checkpoint.n = 1), "published unlike"],
  ["a number that was never reached", (r) => (r.ledger[0].checkpoint.n = 99), "published unlike"],
]) {
  test(`does not hold: ${name}`, async () => {
    const changed = structuredClone(receipt);
    change(changed);
    const result = await checked(changed);
    assert.equal(result.verdict, "fails");
    assert.ok(failed(result).includes(expected), failed(result).join(", "));
  });
}

test("a ledger that was rewritten contradicts the receipt, whoever signs it", async () => {
  const rewritten = structuredClone(cases.published);
  for (const one of rewritten.checkpoints) one.hash = NOUGHTS;
  assert.deepEqual(failed(await checked(receipt, rewritten)), ["published rewritten"]);
  assert.deepEqual(failed(await checked(receipt, { ...cases.published, checkpoints: [] })), ["published gone"]);
  assert.deepEqual(failed(await checked(receipt, { ...cases.published, key: "other" })), ["key other"]);
});

for (const [name, published] of [["nothing answers", null], ["no key", { checkpoints: [] }], ["no JSON object", []]]) {
  test(`nothing is proved where the published checkpoints cannot be read: ${name}`, async () => {
    const result = await checked(receipt, published);
    assert.equal(result.verdict, "unsure");
    assert.deepEqual(left(result), ["key unreachable", "published unreachable"]);
  });
}

test("an error of the site is no answer", async () => {
  globalThis.fetch = async () => Response.json(cases.published, { status: 503 });
  assert.equal((await check(receipt, askAt(HREF))).verdict, "unsure");
});

for (const value of [
  null, 5, "receipt", [], {}, { ledger: [] }, { ...receipt, ledger: [null] }, { ...receipt, purposes: {} }, { ...receipt, ledger_key: 5 },
  { ...receipt, ledger: [{ ...receipt.ledger[0], path: [{ side: "up", hash: NOUGHTS }] }] },
  { ...receipt, ledger: [{ ...receipt.ledger[0], checkpoint: { n: "1" } }] },
  { ...receipt, ledger: [{ ...receipt.ledger[0], clear: { deep: {} } }] },
]) {
  test(`is no receipt: ${JSON.stringify(value)?.slice(0, 40)}`, async () => assert.equal((await checked(value)).verdict, "none"));
}

test("it asks once for what is on one page, without a cookie and past every cache", async () => {
  const asked = [];
  globalThis.fetch = async (...question) => (asked.push(question), Response.json(cases.published));
  const ask = askAt(HREF);
  for (const one of cases.receipts) await check(one, ask);
  const [[url, options]] = asked;
  assert.equal(asked.length, 1);
  assert.equal(String(url), `${HREF}?from=2&limit=100`);
  assert.deepEqual([options.cache, options.credentials], ["no-store", "omit"]);
});

test("a checkpoint that anybody could have made up accuses nobody of rewriting", async () => {
  const { subtle } = crypto;
  const pair = await subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const made = structuredClone(receipt);
  made.ledger_key = Buffer.from(await subtle.exportKey("raw", pair.publicKey)).toString("base64");
  const { checkpoint } = made.ledger[0];
  checkpoint.at = "2026-11-22T08:02:00+00:00";
  checkpoint.hash = await hashOfCheckpoint(checkpoint);
  const signature = await subtle.sign({ name: "Ed25519" }, pair.privateKey, Buffer.from(checkpoint.hash));
  checkpoint.signature = Buffer.from(signature).toString("base64");
  assert.deepEqual(failed(await checked(made)), ["key other", "published unlike"]);
});

test("a browser without Ed25519 says so, and checks the rest", async () => {
  const { importKey } = crypto.subtle;
  crypto.subtle.importKey = async () => { throw new DOMException("Unrecognized name.", "NotSupportedError"); };
  const result = await checked(receipt);
  crypto.subtle.importKey = importKey;
  assert.equal(result.verdict, "mostly");
  assert.deepEqual(left(result), ["signature unsupported"]);
});

test("a page that was not opened over https says so, and proves nothing", async () => {
  const { crypto } = globalThis;
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  const result = await checked(receipt);
  Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
  assert.equal(result.verdict, "unsure");
  assert.deepEqual(left(result), ["hash insecure", "path insecure", "checkpoint insecure", "signature insecure"]);
});
