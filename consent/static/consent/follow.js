// Follows work that is going on: every two seconds the parts that may have changed are fetched, and nothing else of the
// page is touched, so that what somebody is writing stays. Without this script a link does the same when it is pressed.
const FOLLOWED = "[data-follows][id]";

const looksAgain = async () => {
  const answer = await fetch(location.pathname + location.search, { credentials: "same-origin" });
  if (!answer.ok) return true;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll(FOLLOWED)) {
    const fresh = page.getElementById(part.id);
    const isRead = part.contains(document.activeElement);
    if (fresh && !isRead && fresh.innerHTML !== part.innerHTML) part.replaceWith(document.importNode(fresh, true));
  }
  return page.querySelector("[data-working]") !== null;
};

const follow = async () => {
  const isWorking = await looksAgain().catch(() => true); // away for a moment: it is asked again
  if (isWorking) setTimeout(follow, 2000);
};

setTimeout(follow, 2000);
