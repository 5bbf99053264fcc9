// What a page does without loading anew: it searches while one types, copies lines,
// says how long ago something was, and follows events. All of it can be done without.
"use strict";
(() => {
  const base = document.body.dataset.base;
  const here = (id) => document.getElementById(id);

  // Times, as how long ago they were; the time itself is in the title.
  const units = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const tellTimes = () => {
    for (const time of document.querySelectorAll("time")) {
      const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
      const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
      time.title ||= time.textContent;
      time.textContent = unit === "second" ? "just now" : words.format(Math.round(seconds / length), unit);
    }
  };

  // Lines to copy. Without the clipboard, which plain HTTP from afar has not, the line
  // is selected.
  const offerCopies = () => {
    for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  };
  const copy = async (button) => {
    const line = button.parentElement.querySelector("code");
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(line.textContent);
    } catch {
      getSelection().selectAllChildren(line);
      said = document.execCommand("copy") ? "Copied" : "Selected";
    }
    button.firstElementChild.textContent = said;
    setTimeout(() => { button.firstElementChild.textContent = "Copy"; }, 2000);
  };

  // Another list, in the place of the one that is shown.
  let asked;
  const load = async (address, quietly) => {
    asked?.abort();
    const mine = asked = new AbortController();
    here("results").classList.toggle("busy", !quietly);
    let next;
    try {
      const answer = await fetch(address, { signal: mine.signal, headers: { Accept: "text/html" } });
      next = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (failure) {
      if (failure.name !== "AbortError") {
        here("results").classList.remove("busy");
        tell("The server does not answer.");
      }
      return;
    }
    const results = next.getElementById("results");
    if (!results) {
      location.assign(address);
      return;
    }
    const focused = document.activeElement?.dataset?.key;
    const inside = here("results").contains(document.activeElement);
    const filtersOpen = here("filters")?.open;
    here("results").replaceWith(results);
    here("stale").replaceWith(next.getElementById("stale"));
    if (here("filters") && filtersOpen !== undefined) here("filters").open = filtersOpen;
    prepare();
    if (inside) {
      const again = focused && document.querySelector(`[data-key="${CSS.escape(focused)}"]`);
      (again || here("main")).focus({ preventScroll: true });
    }
    if (!quietly) announce();
  };
  const prepare = () => {
    tellTimes();
    offerCopies();
  };

  // What a screen reader says of a new list.
  const announce = () => {
    const count = here("count");
    if (count) here("said").textContent = count.textContent;
  };
  const go = (address, replace) => {
    history[replace ? "replaceState" : "pushState"](null, "", address);
    const hidden = new URL(address, location.href).searchParams;
    const form = document.querySelector(".search");
    if (form) {
      for (const field of form.querySelectorAll("[type=hidden]")) field.remove();
      for (const [name, value] of hidden) {
        if (["search", "sort", "continue"].includes(name)) continue;
        const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
        form.prepend(field);
      }
    }
    return load(address);
  };

  const listen = () => {
    const form = document.querySelector(".search");
    if (!form) return;
    const wanted = () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === "sort" && value === "created")));
      return form.action + (query.size ? `?${query}` : "");
    };
    let waiting;
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => go(wanted(), true), 120);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      go(wanted(), false);
    });
    addEventListener("popstate", () => {
      const query = new URL(location.href).searchParams;
      here("q").value = query.get("search") || "";
      here("sort").value = query.get("sort") || "created";
      load(location.href);
    });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("#results a");
      if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      if (new URL(link.href).pathname !== new URL(form.action).pathname) return;
      event.preventDefault();
      go(link.href, false);
      if (link.closest(".pages")) scrollTo(0, 0);
    });
  };

  // What happened since the page was loaded. A list that nobody is in the middle of is
  // shown anew; else it is said.
  const tell = (text, act) => {
    const news = here("news");
    if (!news) return;
    news.textContent = text;
    if (act) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Show" });
      button.addEventListener("click", () => { news.textContent = ""; act(); });
      news.append(button);
    }
  };
  const follow = () => {
    const live = here("live");
    const events = new EventSource(`${base}/v1/catalog/events`);
    let changes = 0, waiting;
    const happened = (event) => {
      const what = event.data ? JSON.parse(event.data) : {};
      const shown = here("news").dataset.entry; // one entry is shown: others are no news
      if (shown && what.name && what.name !== shown) return;
      changes++;
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        const name = what.name || "The catalog";
        const did = { published: "was published", removed: "was removed", phase: `is now ${what.phase}` }[event.type] || "changed";
        const text = changes > 1 ? `${changes} changes` : `${name} ${did}`;
        const results = here("results");
        if (results && !results.contains(document.activeElement) && scrollY < 200) {
          load(location.href, true).then(() => tell(text));
        } else {
          tell(text, () => results ? load(location.href) : location.reload());
        }
        changes = 0;
      }, 300);
    };
    for (const kind of ["published", "removed", "phase", "reset"]) events.addEventListener(kind, happened);
    events.addEventListener("open", () => { live.hidden = false; });
    events.addEventListener("error", () => { live.hidden = true; });
    addEventListener("pagehide", () => events.close());
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
  const said = Object.assign(document.createElement("p"), { id: "said", className: "unseen" });
  said.setAttribute("role", "status");
  document.body.append(said);
  if (matchMedia("(max-width: 52rem)").matches && here("filters")) here("filters").open = false;
  prepare();
  listen();
  if (document.querySelector("#news")) follow();
})();
