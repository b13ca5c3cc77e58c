/* Searches what the row's kind names: product, category, brand or tag. */
(function () {
  "use strict";
  function refOf(kind) {
    return document.getElementById(kind.id.replace(/-kind$/, "-ref"));
  }
  function follow(kind, changed) {
    var ref = refOf(kind);
    if (!ref) { return; }
    ref.dataset.fieldName = kind.value.toLowerCase() || "product";
    ref.disabled = kind.value === "ALWAYS";
    if (changed && window.django && window.django.jQuery) {
      window.django.jQuery(ref).val(null).trigger("change");
    }
  }
  function all() {
    document.querySelectorAll("select[id$='-kind']").forEach(function (kind) { follow(kind, false); });
  }
  document.addEventListener("change", function (event) {
    if (event.target.matches && event.target.matches("select[id$='-kind']")) { follow(event.target, true); }
  });
  document.addEventListener("DOMContentLoaded", all);
  document.addEventListener("formset:added", all);
}());
