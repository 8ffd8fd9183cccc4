/**
 * "Why this?" at the place itself: two plain lines, and a button that switches off what they name.
 *
 * In: the links that the server puts where something rests on what the reader allowed (`.why-this`). Out: a small panel
 * beside the link with that place's part of the page it leads to, so that every word and the form are that page's own;
 * the form is sent from here, and the shop is read again. Without this script the link leads to the page.
 */

const WHY = {
  en: {
    close: "Close",
    loading: "Looking …",
    failed: "The reasons cannot be read right now.",
    gone: "This has changed in the meantime. Read the page again to see it.",
    unsaved: "That did not work. Nothing has changed; please try again.",
  },
  de: {
    close: "Schließen",
    loading: "Wird nachgesehen …",
    failed: "Die Gründe lassen sich gerade nicht lesen.",
    gone: "Das hat sich inzwischen geändert. Lies die Seite neu, um es zu sehen.",
    unsaved: "Das hat nicht geklappt. Es hat sich nichts geändert; bitte versuche es noch einmal.",
  },
}[document.body.dataset.locale === "de" ? "de" : "en"];

let opened = null;

/** Return the part of the page of reasons that is about a link's place; null when it is not there any more. */
async function reasonOf(link) {
  const address = new URL(link.href);
  const campaign = new URLSearchParams(location.search).get("utm_campaign");
  if (campaign) address.searchParams.set("utm_campaign", campaign);
  const response = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (!response.ok) throw new Error(String(response.status));
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const part = page.getElementById(decodeURIComponent(address.hash.slice(1)));
  return part && document.importNode(part, true);
}

/** Send a form as it stands and read the shop again. */
async function send(event) {
  event.preventDefault();
  const { target } = event;
  const button = target.querySelector("button");
  button.disabled = true;
  const answer = await fetch(target.action, { method: "POST", credentials: "same-origin", body: new URLSearchParams(new FormData(target)) })
    .catch(() => null);
  if (answer?.ok) return location.reload();
  button.disabled = false;
  target.closest(".why").querySelector("[role=status]").textContent = WHY.unsaved;
}

function panelOf(link) {
  const panel = document.createElement("div");
  panel.className = "why";
  panel.id = `why-${link.hash.slice(1)}`;
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", link.textContent);
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  status.textContent = WHY.loading;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "why__close";
  close.setAttribute("aria-label", WHY.close);
  close.addEventListener("click", shut);
  panel.append(close, status);
  panel.addEventListener("submit", send);
  return panel;
}

function shut() {
  const { link, panel } = opened ?? {};
  opened = null;
  panel?.remove();
  link?.setAttribute("aria-expanded", "false");
  link?.focus();
}

async function open(link) {
  if (opened) shut();
  const panel = panelOf(link);
  opened = { link, panel };
  link.setAttribute("aria-expanded", "true");
  link.after(panel);
  const status = panel.querySelector("[role=status]");
  const part = await reasonOf(link).catch(() => undefined);
  status.textContent = part ? "" : part === null ? WHY.gone : WHY.failed;
  if (!part) return;
  part.removeAttribute("id"); // the placement keeps it
  status.before(...part.childNodes);
  panel.querySelector(".why__close").focus({ preventScroll: true });
  panel.scrollIntoView({ block: "nearest" });
}

for (const link of document.querySelectorAll(".why-this")) {
  link.setAttribute("role", "button");
  link.setAttribute("aria-expanded", "false");
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    if (opened?.link === link) shut();
    else open(link);
  });
  link.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    link.click();
  });
}

document.addEventListener("keydown", (event) => event.key === "Escape" && opened && shut());
document.addEventListener("click", ({ target }) => {
  if (opened && !opened.panel.contains(target) && !target.closest?.(".why-this")) shut();
});
