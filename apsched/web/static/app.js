"use strict";
// Live updates, keys and small comforts. Everything else works without this file.
(() => {
  const body = document.body;
  const root = body.dataset.root;
  let ahead = 0; // milliseconds by which the clock of the server is ahead of this one

  // --- theme
  const toggleTheme = () => {
    const html = document.documentElement;
    const isDark = html.dataset.theme ? html.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    html.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("apsched-theme", html.dataset.theme); } catch (error) { /* not kept */ }
  };
  document.getElementById("theme").addEventListener("click", toggleTheme);

  // --- times that go on
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const relative = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 1) return "now";
    const [unit, name] = units.find(([each]) => size >= each);
    const text = `${Math.floor(size / unit)} ${name}`;
    return seconds > 0 ? `in ${text}` : `${text} ago`;
  };
  const tick = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-rel]")) {
      const text = relative((Date.parse(time.dateTime) - now) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // --- live updates; none while nobody looks
  const state = document.getElementById("live-state");
  const clock = document.getElementById("clock");
  let isStale = false, lastChange = 0, pending = null;
  const changed = () => {
    if (document.hidden) { isStale = true; return; }
    const wait = 1000 - (Date.now() - lastChange);
    if (wait > 0) { pending ??= setTimeout(() => { pending = null; changed(); }, wait); return; }
    lastChange = Date.now();
    htmx.trigger(body, "apsched-changed");
  };
  const listen = () => {
    const events = new EventSource(body.dataset.live);
    const take = (event) => {
      const told = JSON.parse(event.data);
      ahead = Date.parse(told.now) - Date.now();
      clock.textContent = told.clock;
      state.dataset.state = "on";
    };
    events.addEventListener("tick", take);
    events.addEventListener("changed", (event) => { take(event); changed(); });
    events.addEventListener("error", () => {
      state.dataset.state = "off";
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
    });
    addEventListener("pagehide", () => events.close(), { once: true });
  };
  listen();
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isStale) { isStale = false; changed(); } });
  // What is read anew while somebody opens a part of it, or chooses text in it, would be taken away from under him.
  body.addEventListener("htmx:beforeSwap", (event) => {
    if (!("livePart" in event.target.dataset)) return;
    const chosen = getSelection();
    const isRead = !chosen.isCollapsed && chosen.anchorNode.parentElement?.closest("[data-live-part]");
    if (isRead || document.querySelector("[data-live-part] details[open]")) event.detail.shouldSwap = false;
  });

  // Rows that are there keep their places, so that nobody presses a button of another one; a reload sorts them.
  const places = new Map(); // id of the list -> ids of its rows
  const keepOrder = () => {
    for (const list of document.querySelectorAll("[data-keep-order]")) {
      const known = places.get(list.id) ?? [];
      const rows = [...list.children].filter((row) => row.id);
      const place = (row) => { const at = known.indexOf(row.id); return at < 0 ? known.length : at; };
      const sorted = rows.toSorted((one, other) => place(one) - place(other));
      if (sorted.some((row, at) => row !== rows[at])) list.prepend(...sorted);
      places.set(list.id, sorted.map((row) => row.id));
    }
  };
  keepOrder();
  body.addEventListener("htmx:afterSwap", keepOrder);
  body.addEventListener("htmx:oobAfterSwap", keepOrder);

  // --- what actions say
  const tell = (text, page, isBad) => {
    const toast = document.createElement(page ? "a" : "div");
    toast.className = isBad ? "toast bad" : "toast";
    toast.textContent = text;
    if (page) toast.href = `${root}/${page}`;
    document.getElementById("toasts").append(toast);
    setTimeout(() => toast.remove(), isBad ? 12000 : 6000);
  };
  body.addEventListener("apsched-told", (event) => tell(event.detail.text, event.detail.page, false));
  body.addEventListener("htmx:responseError", (event) => {
    if ("livePart" in event.target.dataset) return;
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    tell(page.querySelector("main p[data-detail]")?.textContent || "That did not work.", null, true);
  });
  body.addEventListener("htmx:sendError", (event) => {
    if (!("livePart" in event.target.dataset)) tell("The dashboard does not answer.", null, true);
  });

  // --- keys
  const keys = document.getElementById("keys");
  document.getElementById("help").addEventListener("click", () => keys.showModal());
  const pages = { s: "/", r: "/runs", l: "/load", n: "/nodes", q: "/quarantine", h: "/health" };
  let selected = null, isGoing = false;
  const mark = () => {
    for (const row of document.querySelectorAll("[data-row]")) row.classList.toggle("selected", row.id === selected);
  };
  const move = (step) => {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.id === selected);
    const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    selected = row.id;
    mark();
    row.querySelector("[data-open]")?.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  body.addEventListener("htmx:afterSettle", () => { mark(); tick(); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target.matches("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (isGoing) {
      isGoing = false;
      if (event.key in pages) location.href = root + pages[event.key];
      return;
    }
    const open = document.getElementById(selected)?.querySelector("[data-open]");
    const search = document.getElementById("search");
    switch (event.key) {
      case "/": if (!search) return; search.focus(); search.select(); break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "Enter": if (!open || event.target.matches("a, button, summary")) return; open.click(); break;
      case "g": isGoing = true; setTimeout(() => { isGoing = false; }, 1500); break;
      case "t": toggleTheme(); break;
      case "?": keys.showModal(); break;
      default: return;
    }
    event.preventDefault();
  });
})();
