/* The campaign's form: pickers search what the row's kind names, and a field that nothing reads
   steps aside. Without this script every field is there, and its help says when it is read. */
(function () {
  "use strict";

  // Field, the choice it hangs on, the values of it under which it is read.
  var READ = [
    ["product_ref", "offer_by", ["PRODUCT"]],
    ["product_map", "offer_by", ["MAP"]],
    ["quantity", "quantity_rule", ["FIXED"]],
    ["percent", "rule", ["PERCENT"]],
    ["amounts", "rule", ["AMOUNT", "FIXED", "FIXED_DIFFERENCE"]],
    ["from_regular", "rule", ["PERCENT", "AMOUNT"]],
    ["shipping_flat", "shipping", ["FLAT"]]
  ];

  function row(name) {
    return document.querySelector(".form-row.field-" + name);
  }
  function showWhatIsRead() {
    READ.forEach(function (rule) {
      var field = row(rule[0]), choice = document.getElementById("id_" + rule[1]);
      if (!field || !choice) { return; }
      // What is wrong is never hidden.
      var wrong = field.querySelector(".errorlist");
      field.classList.toggle("upsell-hidden", !wrong && rule[2].indexOf(choice.value) < 0);
    });
  }
  function followKind(event) {
    // Of a new kind another number of units makes sense, unless somebody chose one.
    var kind = document.getElementById("id_kind"), rule = document.getElementById("id_quantity_rule");
    if (event.target !== kind || !rule) { return; }
    if (kind.value === "UPSELL" && rule.value === "FIXED") { rule.value = "MATCH"; }
    if (kind.value === "CROSS_SELL") { rule.value = "FIXED"; }
  }
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
    showWhatIsRead();
  }
  document.addEventListener("change", function (event) {
    if (!event.target.matches) { return; }
    if (event.target.matches("select[id$='-kind']")) { follow(event.target, true); }
    followKind(event);
    showWhatIsRead();
  });
  document.addEventListener("DOMContentLoaded", all);
  document.addEventListener("formset:added", all);
}());
