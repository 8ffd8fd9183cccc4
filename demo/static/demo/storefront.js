/**
 * What the demo shop adds to its finished pages: sending events, changing persona, the ways to one's privacy.
 *
 * In: the page as the server rendered it (`data-path`, `data-locale`, `data-buy`, `data-slot`), and what the banner knows
 * of consent (`tessera.consent`, loaded before this). Out: requests to the public API of the same origin. The script
 * stores nothing: no cookie, no localStorage. The visitor's token lives in a cookie that scripts cannot read. No event
 * leaves before a purpose is granted, and the snippet that tells what was seen is loaded only then. Without this script
 * the shop still reads.
 */

const body = document.body;
const locale = body.dataset.locale === "de" ? "de" : "en";
const OPTIONAL = ["analytics", "personalization", "profiling"];

const WORDS = {
  en: {
    privacy: "Privacy",
    withdraw: "Take back everything I allowed",
    why: "Why?",
    dock: "About this page",
    persona: "Read as",
    nobody: "Nobody in particular",
    go: "Go",
    buy: "Buy now",
    add: "Add to basket",
    bought: (name) => `${name}: ordered. The next page already knows.`,
    added: (name) => `${name} is in your basket.`,
    boughtUnseen: (name) => `${name}: ordered. You have not allowed us to remember it, so we do not.`,
    notSent: "The shop could not be reached. Nothing was noted.",
    reload: "Show me",
  },
  de: {
    privacy: "Datenschutz",
    withdraw: "Alles zurücknehmen, was ich erlaubt habe",
    why: "Warum?",
    dock: "Zu dieser Seite",
    persona: "Lesen als",
    nobody: "Niemand Bestimmtes",
    go: "Los",
    buy: "Jetzt kaufen",
    add: "In den Korb",
    bought: (name) => `${name}: bestellt. Die nächste Seite weiß es schon.`,
    added: (name) => `${name} liegt in deinem Korb.`,
    boughtUnseen: (name) => `${name}: bestellt. Du hast uns nicht erlaubt, es uns zu merken, also tun wir es nicht.`,
    notSent: "Der Laden war nicht erreichbar. Es wurde nichts vermerkt.",
    reload: "Zeig es mir",
  },
};

const words = WORDS[locale];

/** Make an element; texts are always texts, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Ask the API of this origin; return {status, data}. */
async function ask(path, options = {}) {
  const headers = { Accept: "application/json", "Accept-Language": locale, ...options.headers };
  const response = await fetch(path, { credentials: "same-origin", ...options, headers });
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  return { status: response.status, data: isJson ? await response.json() : null };
}

/* Consent: the banner asks; the shop reads what came of it, and shows the page that follows from a decision */

const granted = ({ purposes }) => OPTIONAL.filter((purpose) => purposes[purpose] === "granted");

/** Wait for what the banner knows; without the banner nothing is allowed. */
const readConsent = () =>
  new Promise((done) => {
    const banner = window.tessera?.consent;
    if (!banner) return done(null);
    banner.onChange((consent, mode) => (mode === "load" ? done(consent) : location.reload()));
  });

/** One click takes back what one click gave: at the end of every page, for whoever allowed something. */
function addWithdrawal(consent) {
  if (!consent || !granted(consent).length) return;
  const button = make("button", { type: "button", class: "quiet", "data-tessera-consent": "refuse" }, words.withdraw);
  document.querySelector(".footer")?.append(make("p", { class: "withdrawal" }, button));
}

/* Events */

/** Return a sender of events, or null while nothing is allowed. */
function sender(consent, writeKey) {
  if (!writeKey || !consent?.visitorId || granted(consent).length === 0) return null;
  return (event, properties) => {
    const now = new Date().toISOString();
    const message = {
      writeKey,
      type: "track",
      event,
      messageId: `web-${crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`}`,
      anonymousId: consent.visitorId,
      originalTimestamp: now,
      sentAt: now,
      context: { locale, userAgent: navigator.userAgent, page: { path: body.dataset.path, title: document.title } },
      properties,
    };
    return ask("/v1/track", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(message),
      keepalive: true,
    });
  };
}

const productOf = ({ dataset }) => ({
  product_id: dataset.sku,
  name: dataset.name,
  category: dataset.category,
  price: Number(dataset.price),
  currency: "EUR",
});

function ordered(product) {
  return {
    order_id: crypto.randomUUID?.() ?? String(Date.now()),
    revenue: product.price,
    total: product.price,
    currency: product.currency,
    products: [{ ...product, quantity: 1 }],
  };
}

async function buy(send, place) {
  const product = productOf(place);
  if (!send) return toast(words.boughtUnseen(product.name));
  const { status } = await send("Order Completed", ordered(product)).catch(() => ({ status: 0 }));
  if (status === 200) toast(words.bought(product.name), true);
  else toast(words.notSent);
}

async function add(send, place) {
  const product = productOf(place);
  await send?.("Product Added", { ...product, quantity: 1 }).catch(() => null);
  toast(words.added(product.name));
}

function toast(message, withReload = false) {
  document.querySelector(".toast")?.remove();
  const reload = withReload && make("button", { type: "button", onclick: () => location.reload() }, words.reload);
  const box = make("div", { class: "toast", role: "status" }, make("span", {}, message), reload || "");
  body.append(box);
  setTimeout(() => box.remove(), withReload ? 20000 : 7000);
}

function addButtons(send) {
  for (const place of document.querySelectorAll("[data-buy]")) {
    const label = (word) => `${word}: ${place.dataset.name}`;
    const button = (word, action, quiet) =>
      make("button", { type: "button", class: quiet && "quiet", "aria-label": label(word), onclick: () => action(send, place) }, word);
    place.append(button(words.buy, buy));
    if (place.closest("[data-product-page]")) place.append(button(words.add, add, "quiet"));
  }
}

/** Tell that a product was looked at; that the page was viewed is told by the snippet. */
function noteProduct(send) {
  const place = document.querySelector("[data-product-page] [data-buy]");
  // A lost view is no reason to trouble the reader: the server counts what it was sent.
  if (send && place) send("Product Viewed", productOf(place)).catch(() => null);
}

/* Dock */

function personaForm({ personas, current }) {
  const about = make("span", { class: "dock__about" });
  const options = [{ key: "", title: words.nobody }, ...personas];
  const select = make(
    "select",
    { name: "persona", id: "persona" },
    ...options.map(({ key, title }) => make("option", { value: key, selected: key === (current ?? "") }, title)),
  );
  const describe = () => (about.textContent = options.find(({ key }) => key === select.value)?.description ?? "");
  select.addEventListener("change", describe);
  describe();
  return make(
    "form",
    { method: "post", action: "/demo/persona" },
    make("input", { type: "hidden", name: "next", value: location.pathname + location.search }),
    make("label", { for: "persona" }, words.persona),
    select,
    make("button", { type: "submit" }, words.go),
    about,
  );
}

function addDock(toolbar, consent) {
  const query = new URLSearchParams(location.search);
  query.set("path", body.dataset.path);
  query.set("locale", locale);
  const why = make("a", { class: "button button--quiet", href: `/privacy/why/?${query}` }, words.why);
  const privacy = make("button", { type: "button", class: "quiet", "data-tessera-consent": "open" }, words.privacy);
  const dock = make("div", { class: "dock", role: "region", "aria-label": words.dock });
  dock.append(toolbar ? personaForm(toolbar) : "", consent ? privacy : "", why);
  body.append(dock);
}

/** Keep the language that was chosen in the address, as the masthead does. */
function keepLocale() {
  if (!new URLSearchParams(location.search).has("locale")) return;
  for (const link of document.querySelectorAll("main a[href^='/'], .footer a[href^='/'], .promo a[href^='/']")) {
    const url = new URL(link.href);
    url.searchParams.set("locale", locale);
    link.href = url.pathname + url.search + url.hash;
  }
}

/** Let the snippet tell what is seen and clicked; it is not even loaded for whoever allowed nothing. */
function notice(writeKey) {
  body.append(make("script", { src: "/static/personalization/tessera.js", "data-write-key": writeKey }));
}

async function start() {
  keepLocale();
  const [consent, toolbar] = await Promise.all([
    readConsent(),
    ask("/demo/toolbar").catch(() => ({ status: 0 })),
  ]);
  const tools = toolbar.status === 200 ? toolbar.data : null;
  const send = sender(consent, tools?.write_key);
  addButtons(send);
  addDock(tools, consent);
  addWithdrawal(consent);
  noteProduct(send);
  if (send && tools) notice(tools.write_key);
}

start();
