// Optional polish: every page works without it.
(() => {
  "use strict";
  const within = (root) => {
    for (const form of root.querySelectorAll(".upsell form")) {
      form.addEventListener("submit", (event) => {
        const card = form.closest(".upsell");
        if (card.dataset.upsellSent) return event.preventDefault();
        card.dataset.upsellSent = "1";
        card.setAttribute("aria-busy", "true");
        for (const button of card.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
        const words = form.querySelector("[value=accept]") && card.querySelector("[data-upsell-words]");
        if (words) words.textContent = words.dataset.upsellWords;
      });
    }
    const waiting = root.querySelector('.upsell[data-upsell-state="confirming"]');
    if (waiting) poll(waiting.dataset.upsellStatus, 20);
    root.querySelector(".upsell [autofocus]")?.focus();
    root.querySelector("form[data-upsell-auto]")?.requestSubmit();
  };
  const stateAt = async (address) => {
    const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => null);
    return answer?.ok ? (await answer.json()).state : null;
  };
  const poll = (address, left) => {
    if (left) setTimeout(async () => {
      const state = await stateAt(address);
      if ([null, "ACCEPTING", "NEEDS_ATTENTION"].includes(state)) poll(address, left - 1); else location.reload();
    }, 3000);
  };
  // Whoever comes back with the browser's button sees how it stands, not how it stood.
  addEventListener("pageshow", async (event) => {
    const open = document.querySelector('.upsell[data-upsell-state="open"]');
    const back = event.persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    if (!back || !open) return;
    const state = await stateAt(open.dataset.upsellStatus);
    if (state && !["CREATED", "SHOWN"].includes(state)) location.reload();
  });
  for (const place of document.querySelectorAll("[data-upsell-lazy]")) {
    fetch(place.dataset.upsellLazy, { credentials: "same-origin" }).then(async (answer) => {
      if (answer.status !== 200) return;
      const made = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".upsell, .upsell-message");
      if (made) { place.replaceChildren(made); within(place); }
    }).catch(() => {});
  }
  within(document);
})();
