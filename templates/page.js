// Keeps the page as it is on the server, without flicker: only what changed is touched, focus and selection stay. The
// page is whole without this script; it reads, and changes nothing anywhere.
"use strict";
(() => {
  const root = document.documentElement, main = document.querySelector("main");
  const lost = document.getElementById("lost"), said = document.getElementById("said");
  const filter = document.getElementById("filter");
  const every = Number(main.dataset.poll) || 2000;
  let tag = null, skew = 0, answered = Date.now();
  root.classList.add("js");

  const span = (seconds) => {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min` + (s < 600 && s % 60 ? ` ${s % 60} s` : "");
    if (s < 172800) return `${Math.floor(s / 3600)} h` + (s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : "");
    return `${Math.floor(s / 86400)} days`;
  };
  // Clocks differ: ages count by the server's, whose Date comes with each answer.
  const tick = () => {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-as]")) {
      const seconds = (Date.parse(time.dateTime) - now) / 1000;
      const words = time.dataset.as === "left"
        ? (seconds > 0 ? `in ${span(seconds)}` : "any moment now")
        : (seconds > -1 ? "just now" : `${span(-seconds)} ago`);
      if (!time.title) time.title = time.dateTime;
      if (time.textContent !== words) time.textContent = words;
    }
  };

  // Makes `old` like `fresh`. Elements with a data-key are the same thing wherever they stand.
  const morph = (old, fresh) => {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "title" && name !== "hidden") old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old.localName === "time" && old.dataset.as) { old.title = old.dateTime; return; }
    const keyed = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const key = next.dataset && next.dataset.key;
      let same = key ? keyed.get(key) : at;
      const fits = same && same.nodeType === next.nodeType && same.nodeName === next.nodeName && (key || !(same.dataset && same.dataset.key));
      if (!fits) { old.insertBefore(document.importNode(next, true), at); continue; }
      if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
      if (same.nodeType === Node.ELEMENT_NODE) morph(same, next);
      else if (same.nodeValue !== next.nodeValue) same.nodeValue = next.nodeValue;
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  const sift = () => {
    if (!filter) return;
    const wanted = filter.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(".apps > li")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  };

  const look = async () => {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
      if (answer.status !== 200 && answer.status !== 304) throw new Error(answer.status === 404 ? "this app is not watched any more" : `answered ${answer.status}`);
      const date = Date.parse(answer.headers.get("date") || "");
      if (date) skew = date - Date.now();
      if (answer.status === 200) {
        tag = answer.headers.get("etag");
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const phase = main.dataset.said;
        morph(main, fresh.querySelector("main"));
        document.title = fresh.title;
        if (main.dataset.said !== phase) said.textContent = main.dataset.said;
        sift();
      }
      answered = Date.now();
      lost.hidden = true;
    } catch (error) {
      const words = error instanceof TypeError ? "turquoise does not answer" : String(error.message);
      lost.textContent = `${words}; this is what was seen ${span((Date.now() - answered) / 1000)} ago`;
      lost.hidden = false;
    }
    tick();
  };
  const loop = async () => {
    if (!document.hidden) await look();
    setTimeout(loop, every);
  };

  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const pre = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      // Not everywhere may a page write to the clipboard: then the text is selected, and the keyboard copies it.
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  if (filter) filter.addEventListener("input", sift);
  tick();
  setInterval(tick, 1000);
  setTimeout(loop, every);
})();
