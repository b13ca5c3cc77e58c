// Says what was looked at, once somebody really looks. Without it nothing is said.
(() => {
  "use strict";
  const place = document.currentScript;
  const { upsellTrack: address, upsellTold: told } = place?.dataset ?? {};
  if (!told) return;
  let sent = false;
  const send = () => {
    if (sent || document.prerendering || document.visibilityState !== "visible") return;
    sent = true;
    if (navigator.sendBeacon?.(address, told)) return;
    fetch(address, { method: "POST", body: told, keepalive: true }).catch(() => {});
  };
  for (const moment of ["visibilitychange", "prerenderingchange"]) document.addEventListener(moment, send);
  send();
})();
