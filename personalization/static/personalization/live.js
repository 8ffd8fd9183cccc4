// Live events: asks every two seconds while the page is looked at, and draws what came. Texts are set, never parsed.
"use strict";
{
  const root = document.querySelector("[data-live]");
  const find = (name) => root.querySelector(`[data-live-${name}]`);
  const pause = find("pause"), state = find("state"), names = find("name");
  const clock = (text) => new Date(text).toLocaleTimeString();
  let paused = false, newest = 0;

  function cell(content, tag = "td") {
    const made = document.createElement(tag);
    if (content instanceof Node) made.append(content); else made.textContent = content;
    return made;
  }

  function row(...contents) {
    const made = document.createElement("tr");
    made.append(...contents.map((one) => cell(one)));
    return made;
  }

  function badges(purposes) {
    const list = document.createElement("span");
    for (const purpose of purposes) {
      const one = cell(purpose, "span");
      one.className = "badge";
      list.append(one, " ");
    }
    return list;
  }

  function person({ person: text, url }) {
    const link = document.createElement("a");
    link.href = url;
    link.className = "quiet-link";
    link.append(cell(text, "code"));
    return link;
  }

  function draw({ events, reasons, names: known }) {
    const fill = (place, rows) => { if (rows.length) place.replaceChildren(...rows); };
    fill(find("events"), events.map((one) => row(clock(one.at), one.name, person(one), badges(one.purposes), cell(one.holds, "code"))));
    fill(find("reasons"), reasons.map((one) => row(one.reason, one.count, clock(one.last))));
    const offered = new Set([...names.options].map((one) => one.value));
    for (const name of known) if (!offered.has(name)) names.add(new Option(name, name));
    const fresh = events.filter((one) => one.id > newest).length;
    newest = Math.max(newest, ...events.map((one) => one.id));
    state.textContent = `${clock(new Date())}: ${fresh ? `${fresh} new` : "nothing new"}`;
  }

  async function ask() {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(`${root.dataset.live}?name=${encodeURIComponent(names.value)}`);
      if (!answer.ok) throw new Error(answer.status);
      draw(await answer.json());
    } catch {
      state.textContent = "No answer; trying again.";
    }
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.textContent = paused ? "Go on" : "Pause";
    ask();
  });
  names.addEventListener("change", () => { find("events").replaceChildren(); ask(); });
  ask();
  setInterval(ask, 2000);
}
