/**
 * What a page tells of its visitor: page views, placements seen, clicked and hovered, searches, forms left, repeated
 * clicks, scroll depth and time. Nothing leaves before consent: until it is known, at most fifty messages wait in
 * memory; without it they are forgotten, and nothing is stored in the browser.
 *
 * <script src="…/tessera.js" data-write-key="KEY" defer></script>
 * `data-host` names another origin of the API, `data-token` the visitor's token where no cookie of that origin is sent;
 * without it the one counts that the banner (frontend/consent) keeps there.
 * `tessera.track(name, properties)` sends an event of the page's own; the event `consentchange` on the document stops at
 * once what its `detail.purposes` do not grant, and has consent read again. A message that cannot be sent is kept (at most
 * a hundred, in this browser) and tried again with the same messageId.
 */

const script = document.currentScript;
const { writeKey, host, token: given } = script.dataset;
const root = host || new URL(script.src).origin;
const credentials = root === location.origin ? "same-origin" : "omit";
const KEPT = "tessera.queue";
const TOKEN = "tessera.token"; // the banner's, on another origin than the API's
const MOST = 100;
const WAITING = 50;
const DETAILS = new Set(["Page Left", "Placement Hovered", "Form Abandoned", "Clicked Repeatedly"]); // for statistics alone

let visitor = null;
let allowed = null; // null: not known yet
let waiting = [];
let queue = [];
let failures = 0;
let timer = 0;
let sending = false;
let reading = 0;
let token = given;

// -- consent ----------------------------------------------------------------------------------------

const grantedIn = (purposes) => new Set(["analytics", "personalization", "profiling"].filter((purpose) => purposes?.[purpose] === "granted"));
const permitted = ({ event }) => allowed.has("analytics") || !DETAILS.has(event);

function readToken() {
  if (given || credentials !== "omit") return;
  try {
    token = localStorage.getItem(TOKEN);
  } catch {
    // a browser that keeps nothing has no token
  }
}

async function readConsent() {
  const turn = (reading += 1);
  readToken();
  const refused = !token && /(^|; )tessera_consent=refused/.test(document.cookie);
  let answer = { visitor_id: null, purposes: {} };
  try {
    if (!refused) answer = await (await fetch(`${root}/api/v1/consent`, { credentials, headers: token ? { "X-Visitor": token } : {} })).json();
  } catch {
    if (allowed) return; // what was known goes on being so; at the first time nothing is known
  }
  if (turn !== reading) return; // asked again meanwhile: this may be older than a withdrawal
  visitor = answer.visitor_id;
  allowed = grantedIn(visitor && answer.purposes);
  const before = waiting;
  waiting = [];
  if (!allowed.size) {
    queue = [];
    return void localStorage.removeItem(KEPT);
  }
  queue = [...stored(), ...queue].filter(permitted);
  before.forEach(put);
  soon();
}

/** Stop at once what is not granted any more: the API's own word comes later. */
function narrow(purposes) {
  const still = grantedIn(purposes);
  allowed = new Set([...allowed].filter((purpose) => still.has(purpose)));
  queue = allowed.size ? queue.filter(permitted) : [];
  keep();
}

function changed({ detail }) {
  if (detail?.mode === "load") return; // the banner has read what is read here too
  if (detail?.purposes && allowed) narrow(detail.purposes);
  readConsent();
}

// -- the queue --------------------------------------------------------------------------------------

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) || "[]");
    return kept.filter((one) => one.anonymousId === visitor && !queue.some((other) => other.messageId === one.messageId));
  } catch {
    return [];
  }
}

function keep() {
  queue = queue.slice(-MOST);
  try {
    if (queue.length) localStorage.setItem(KEPT, JSON.stringify(queue));
    else localStorage.removeItem(KEPT);
  } catch {
    // a browser that keeps nothing still sends
  }
}

function put(message) {
  if (!permitted(message)) return;
  queue.push({ ...message, anonymousId: visitor });
  keep();
}

function send(type, event, properties) {
  const message = {
    type, messageId: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, originalTimestamp: new Date().toISOString(),
    properties: { path: location.pathname, ...properties }, context: { userAgent: navigator.userAgent },
    ...(type === "track" ? { event } : {}),
  };
  if (!allowed) return void (waiting.length < WAITING && waiting.push(message));
  if (!allowed.size) return;
  put(message);
  soon();
}

function soon() {
  if (timer || sending || !queue.length) return;
  const wait = failures ? Math.min(60000, 1000 * 2 ** failures) * (0.5 + Math.random() / 2) : 300;
  timer = setTimeout(flush, wait);
}

const body = (batch) => JSON.stringify({ batch, sentAt: new Date().toISOString() });
const address = `${root}/v1/batch?writeKey=${encodeURIComponent(writeKey)}`;

async function flush() {
  timer = 0;
  if (!queue.length) return;
  sending = true;
  const batch = queue.slice(0, MOST);
  let done = false;
  try {
    const headers = { "Content-Type": "text/plain", ...(token ? { "X-Visitor": token } : {}) };
    const { status } = await fetch(address, { method: "POST", body: body(batch), credentials, keepalive: true, headers });
    done = status < 500 && status !== 429; // what is refused for good is not sent again
  } catch {
    done = false;
  }
  sending = false;
  failures = done ? 0 : failures + 1;
  if (done) {
    const sent = new Set(batch.map((one) => one.messageId));
    queue = queue.filter((one) => !sent.has(one.messageId));
    keep();
  }
  soon();
}

/** The page goes: what is left is handed to the browser, and stays kept where it will not take it. */
function handOver() {
  if (!queue.length || sending) return;
  if (navigator.sendBeacon(address, new Blob([body(queue)], { type: "text/plain" }))) {
    queue = [];
    keep();
  }
}

// -- what is noticed --------------------------------------------------------------------------------

const placed = (target) => target.closest?.("[data-placement]");
const about = ({ dataset }) => ({ placement: dataset.placement, variant: dataset.variant });
const track = (event, properties) => send("track", event, properties);

const watched = new Map();
const eyes = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    clearTimeout(watched.get(target));
    if (isIntersecting) watched.set(target, setTimeout(() => { eyes.unobserve(target); track("Placement Seen", about(target)); }, 1000));
  }
}, { threshold: 0.5 });

let clicks = [];
addEventListener("click", (event) => {
  const { target, clientX: x, clientY: y, timeStamp: at } = event;
  const place = placed(target);
  if (place) track("Placement Clicked", { ...about(place), href: target.closest("a")?.getAttribute("href") ?? undefined });
  clicks = [...clicks.filter((one) => at - one.at < 1000 && Math.hypot(one.x - x, one.y - y) < 30), { x, y, at }];
  if (clicks.length === 3) track("Clicked Repeatedly", { target: target.tagName.toLowerCase() + (target.id && `#${target.id}`), ...(place ? about(place) : {}) });
}, true);

const hovered = new Set();
addEventListener("pointerover", ({ target, pointerType }) => {
  const place = pointerType === "mouse" && placed(target);
  if (!place || hovered.has(place)) return;
  const since = Date.now();
  const left = ({ relatedTarget }) => {
    if (place.contains(relatedTarget)) return;
    place.removeEventListener("pointerout", left);
    hovered.delete(place);
    const seconds = Math.round((Date.now() - since) / 100) / 10;
    if (seconds >= 1) track("Placement Hovered", { ...about(place), seconds });
  };
  hovered.add(place);
  place.addEventListener("pointerout", left);
});

const begun = new Map();
addEventListener("input", ({ target }) => {
  if (target.form && target.type !== "search") begun.set(target.form, target.name || target.id);
});
addEventListener("submit", ({ target }) => {
  begun.delete(target);
  const field = target.querySelector("input[type=search]");
  if (field?.value.trim()) track("Products Searched", { query: field.value.trim().slice(0, 200) });
}, true);

let depth = 0;
let seconds = 0;
let since = Date.now();
const deeper = () => { depth = Math.max(depth, Math.min(100, Math.round(((scrollY + innerHeight) / document.documentElement.scrollHeight) * 100))); };
addEventListener("scroll", deeper, { passive: true });

function leave() {
  deeper();
  if (since) seconds += (Date.now() - since) / 1000;
  since = 0;
  if (seconds >= 1) track("Page Left", { seconds: Math.round(seconds), scroll_depth: depth });
  seconds = 0;
  handOver();
}

document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); else since = Date.now(); });
addEventListener("pagehide", () => { // only now: who looks at another tab may come back to the form
  for (const [form, field] of begun) track("Form Abandoned", { form: form.id || form.getAttribute("name") || "", field });
  begun.clear();
  leave();
});
addEventListener("online", () => { failures = 0; soon(); });
document.addEventListener("consentchange", changed);

window.tessera = { ...window.tessera, track, page: (properties) => send("page", "", { title: document.title, ...properties }) };
tessera.page({ referrer: document.referrer || undefined, ...(script.dataset.page ? JSON.parse(script.dataset.page) : {}) });
for (const place of document.querySelectorAll("[data-placement]")) eyes.observe(place);
readConsent();
