// Says what was looked at, once somebody really looks. Without it nothing is said.
(() => {
  "use strict";
  const place = document.currentScript;
  const { upsellTrack: address, upsellTold: told } = place?.dataset ?? {};
  if (!told) return;
  const page = new URL(location.href);
  const mark = page.searchParams.get("upsell_from");
  const body = mark ? `${told}\n${mark}` : told;
  let sent = false;
  const send = () => {
    if (sent || document.prerendering || document.visibilityState !== "visible") return;
    sent = true;
    if (mark) {
      // Said once: not again by a reload, a bookmark, or whoever the address is passed on to.
      page.searchParams.delete("upsell_from");
      history.replaceState(history.state, "", page);
    }
    if (navigator.sendBeacon?.(address, body)) return;
    fetch(address, { method: "POST", body, keepalive: true }).catch(() => {});
  };
  for (const moment of ["visibilitychange", "prerenderingchange"]) document.addEventListener(moment, send);
  send();
})();
