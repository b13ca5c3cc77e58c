// Optional polish: every page works without it.
(() => {
  "use strict";
  const within = (root) => {
    for (const form of root.querySelectorAll(".upsell form")) {
      form.addEventListener("submit", (event) => {
        if (form.dataset.sent) { event.preventDefault(); return; }
        form.dataset.sent = "1";
        form.closest(".upsell").setAttribute("aria-busy", "true");
        form.querySelector("button").setAttribute("aria-disabled", "true");
      });
    }
    const waiting = root.querySelector('.upsell[data-upsell-state="confirming"]');
    if (waiting) poll(waiting.dataset.upsellStatus, 20);
    const done = root.querySelector('.upsell:not([data-upsell-state="open"]) h2, .upsell [role="alert"]');
    if (done && document.body.classList.contains("upsell-page")) { done.tabIndex = -1; done.focus(); }
    const auto = root.querySelector("form[data-upsell-auto]");
    if (auto) auto.requestSubmit();
  };
  const poll = (address, left) => {
    if (left) setTimeout(async () => {
      const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
      const state = answer && answer.ok ? (await answer.json()).state : "ACCEPTING";
      if (["ACCEPTING", "NEEDS_ATTENTION"].includes(state)) poll(address, left - 1); else location.reload();
    }, 3000);
  };
  for (const place of document.querySelectorAll("[data-upsell-lazy]")) {
    fetch(place.dataset.upsellLazy, { credentials: "same-origin" }).then(async (answer) => {
      if (answer.status !== 200) return;
      const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".upsell");
      if (made) { place.replaceChildren(made); within(place); }
    }).catch(() => {});
  }
  within(document);
})();
