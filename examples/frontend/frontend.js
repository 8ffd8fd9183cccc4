/**
 * A whole integration in one file: consent, a page, an event, and the way back.
 *
 * In: the address of the API and a write key, typed into the form. Out: requests of the public API, without cookies.
 * The visitor's token exists only after a yes; it is kept in localStorage, goes out in the header `X-Visitor`, and is
 * forgotten when everything is taken back. A write key can send events and read nothing, so it may stand in a page.
 */

const TOKEN = "tessera-example-token";
const settings = document.querySelector("#settings").elements;
const say = (id, text) => (document.getElementById(id).textContent = text);

const visitor = {
  id: null,
  get token() {
    return localStorage.getItem(TOKEN);
  },
  keep({ token, visitor_id: id }) {
    this.id = id;
    if (token) localStorage.setItem(TOKEN, token);
  },
  forget() {
    this.id = null;
    localStorage.removeItem(TOKEN);
  },
};

/** Ask the API and show the answer; an error of the API is an Error with its own sentence. */
async function call(method, path, content) {
  const headers = { Accept: "application/json" };
  if (content) headers["Content-Type"] = "application/json";
  if (visitor.token) headers["X-Visitor"] = visitor.token;
  const address = new URL(path, settings.base.value);
  const response = await fetch(address, { method, headers, credentials: "omit", body: content && JSON.stringify(content) });
  const data = await response.json();
  say("request", `${method} ${path} → ${response.status}`);
  say("answer", JSON.stringify(data, null, 2));
  if (!response.ok) throw new Error(data.errors?.[0]?.detail ?? `The API answered ${response.status}.`);
  return data;
}

/** The purposes that one may refuse, all with the same answer. */
function answers({ notice }, value) {
  const open = notice.purposes.filter((purpose) => !purpose.required);
  return Object.fromEntries(open.map(({ key }) => [key, value]));
}

async function decide(value) {
  const asked = await call("GET", "/api/v1/consent");
  const decision = { purposes: answers(asked, value), notice: asked.notice.version };
  if (asked.served) decision.served = asked.served; // proof of what was shown; a decision without it is valid too
  return call("PUT", "/api/v1/consent", decision);
}

function draw({ slots, decision }) {
  const hero = slots.hero?.[0] ?? Object.values(slots).flat()[0];
  say("headline", hero?.fields.headline ?? hero?.fields.name ?? hero?.fields.text ?? "This page is empty");
  say("text", hero?.fields.description ?? hero?.fields.text ?? "");
  const used = decision.purposes.length ? `, using ${decision.purposes.join(", ")}` : ", using nothing personal";
  say("reason", hero ? `Variant “${hero.variant}”, because: ${hero.reason}${used}` : "");
}

const order = () => ({
  type: "track",
  event: "Order Completed",
  writeKey: settings.key.value.trim(),
  anonymousId: visitor.id,
  messageId: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
  originalTimestamp: new Date().toISOString(),
  sentAt: new Date().toISOString(),
  properties: {
    order_id: String(Date.now()),
    revenue: 189,
    total: 189,
    currency: "EUR",
    products: [{ product_id: "ridgeline-boots", category: "hiking", price: 189, quantity: 1 }],
  },
});

const steps = {
  async ask() {
    const asked = await call("GET", "/api/v1/consent");
    visitor.id = asked.visitor_id;
  },
  async grant() {
    visitor.keep(await decide(true));
  },
  async show() {
    draw(await call("GET", `/api/v1/pages${settings.path.value}`));
  },
  async send() {
    if (!visitor.token) throw new Error("Say yes first: without it there is nobody whom an event could belong to.");
    if (!settings.key.value.trim()) throw new Error("Type in a write key first.");
    visitor.id ??= (await call("GET", "/api/v1/consent")).visitor_id;
    await call("POST", "/v1/track", order());
  },
  async withdraw() {
    if (visitor.token) await decide(false);
    visitor.forget();
  },
};

async function take(button) {
  button.disabled = true;
  try {
    await steps[button.dataset.step]();
    say("visitor", visitor.token ? `Token: ${visitor.token}` : "Nobody: no token.");
  } catch (error) {
    const away = error instanceof TypeError;
    say("visitor", away ? "The API cannot be reached from here. Is it running, and is this origin allowed?" : error.message);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => take(button));
}
