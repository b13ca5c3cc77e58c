/* The form of a journey: fields follow what a step does, steps are added and moved, and what is
   wrong is said while typing. Without this script all of it works by saving. */
(function () {
  "use strict";

  var form = document.getElementById("upsell-journey-plan"), list = document.getElementById("upsell-steps");
  if (!form || !list || !window.fetch) { return; }
  var words = document.getElementById("upsell-words").dataset, timer = 0, asked = 0;

  function steps() { return Array.prototype.slice.call(list.querySelectorAll("[data-upsell-step]")); }
  function of(step, name) { return form.elements[step.dataset.upsellStep + "-" + name]; }
  function nameOf(step) { return of(step, "name").value.trim(); }
  // A step is aimed at by the name it had when the page was made; a new one by the name it was given here.
  function keyOf(step) { return of(step, "was").value || nameOf(step); }
  function blank(id, prefix) {
    var holder = document.createElement("div"), found = document.querySelector(id);
    // From a template of our own page, with its number put in.
    holder.innerHTML = found.innerHTML.replace(/steps-__prefix__/g, prefix);
    return holder;
  }

  // By what a fact may be asked more closely stands where it is typed, and nowhere else.
  function closer(fact) {
    var told = fact.options[fact.selectedIndex].dataset.closer, row = fact.parentNode, input = row.querySelector(".upsell-args");
    row.classList.toggle("upsell-chosen", Boolean(fact.value));
    input.placeholder = told || "";
    input.title = told || "";
    input.classList.toggle("upsell-hidden", Boolean(fact.value) && !told && !input.value);
  }
  function number() {
    steps().forEach(function (step, place) { of(step, "place").value = place + 1; });
  }
  function targets() {
    var known = steps().filter(function (step) { return of(step, "kind").value && keyOf(step); });
    form.querySelectorAll("select[data-upsell-steps]").forEach(function (select) {
      var own = select.closest("[data-upsell-step]"), chosen = select.value, kept = false;
      while (select.options.length) { select.remove(0); }
      select.add(new Option(words.next, ""));
      known.forEach(function (step) {
        if (step === own) { return; }
        var kind = of(step, "kind"), label = nameOf(step) + " · " + kind.options[kind.selectedIndex].text;
        select.add(new Option(label, keyOf(step), false, keyOf(step) === chosen));
        kept = kept || keyOf(step) === chosen;
      });
      if (chosen && !kept) { select.add(new Option(chosen, chosen, true, true)); }
    });
  }
  function head(step) {
    step.querySelector(".upsell-step-head b").textContent = nameOf(step) || words.new;
  }
  function freeName(kind) {
    var taken = steps().map(nameOf), place = 1;
    while (taken.indexOf(kind + "_" + place) >= 0) { place += 1; }
    return kind + "_" + place;
  }
  function fields(step) {
    var kind = of(step, "kind").value, into = step.querySelector(".upsell-step-fields");
    into.textContent = "";
    if (kind) { into.append.apply(into, blank('template[data-upsell-kind="' + kind + '"]', step.dataset.upsellStep).childNodes); }
    if (kind && !nameOf(step)) { of(step, "name").value = freeName(kind); }
    if (kind && !of(step, "was").value) { of(step, "was").value = nameOf(step); }
    head(step);
  }
  function buttons(step) {
    var tools = step.querySelector(".upsell-step-tools");
    tools.prepend(document.getElementById("upsell-step-buttons").content.cloneNode(true));
  }
  function add() {
    var total = form.elements["steps-TOTAL_FORMS"], prefix = "steps-" + total.value;
    var holder = blank("#upsell-step-blank", prefix), step = holder.querySelector("[data-upsell-step]");
    step.dataset.upsellStep = prefix;
    total.value = Number(total.value) + 1;
    list.append(step);
    buttons(step);
    number();
    of(step, "kind").focus();
  }
  function move(step, by) {
    var other = by < 0 ? step.previousElementSibling : step.nextElementSibling;
    if (!other) { return; }
    list.insertBefore(by < 0 ? step : other, by < 0 ? other : step);
    number();
    targets();
    check();
  }

  // ------------------------------------------------------------------ what is wrong, while typing

  function found(kind, rows) {
    var box = document.createElement("div"), title = document.createElement("p"), bold = document.createElement("b");
    var items = document.createElement("ul");
    box.className = "upsell-notice" + (kind === "faults" ? " upsell-notice-attention" : "");
    bold.textContent = words[kind];
    title.append(bold);
    rows.forEach(function (row) {
      var item = document.createElement("li"), link = document.createElement("a");
      var step = steps().filter(function (one) { return nameOf(one) === row.step; })[0];
      link.textContent = row.text;
      if (step) { link.href = "#" + step.id; }
      item.append(step ? link : row.text);
      items.append(item);
    });
    box.append(title, items);
    return box;
  }
  function show(told) {
    var into = form.querySelector("[data-upsell-findings]"), lasts = form.querySelector("[data-upsell-lasts]");
    if (!told.readable) { return; }
    into.textContent = "";
    ["faults", "warnings"].forEach(function (kind) {
      if (told[kind].length) { into.append(found(kind, told[kind])); }
    });
    steps().forEach(function (step) {
      var at = step.querySelector(".upsell-step-findings");
      at.textContent = "";
      told.faults.concat(told.warnings).forEach(function (row) {
        var item = document.createElement("li");
        if (row.step && row.step === nameOf(step)) { item.textContent = row.at_step; at.append(item); }
      });
    });
    lasts.hidden = !told.lasts;
    lasts.querySelector("b").textContent = told.lasts;
  }
  function check() {
    window.clearTimeout(timer);
    timer = window.setTimeout(function () {
      var turn = asked += 1;
      fetch(form.dataset.upsellValidate, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } })
        .then(function (answer) { return answer.ok ? answer.json() : { readable: false }; })
        .then(function (told) { if (turn === asked) { show(told); } })
        .catch(function () { /* It is said when it is saved. */ });
    }, 600);
  }

  form.addEventListener("click", function (event) {
    var button = event.target.closest ? event.target.closest("button") : null;
    if (!button) { return; }
    if (button.dataset.upsellMove) { move(button.closest("[data-upsell-step]"), Number(button.dataset.upsellMove)); button.focus(); }
    if ("upsellAdd" in button.dataset) { add(); }
  });
  form.addEventListener("change", function (event) {
    var field = event.target, step = field.closest("[data-upsell-step]");
    if (step && field.classList.contains("upsell-step-kind")) { fields(step); }
    if (step && /-DELETE$/.test(field.name)) { step.classList.toggle("upsell-leaving", field.checked); }
    if (/-fact$/.test(field.name || "")) { closer(field); }
    if (step) { head(step); targets(); }
    check();
  });
  form.addEventListener("input", check);

  form.classList.add("upsell-scripted");
  form.querySelectorAll(".upsell-with-script").forEach(function (part) { part.hidden = false; });
  steps().forEach(function (step) {
    buttons(step);
    // The row to spare is made when it is asked for.
    if (!of(step, "kind").value && !step.querySelector(".errorlist")) { step.hidden = true; step.classList.add("upsell-hidden"); }
  });
  form.querySelectorAll("select[name$='-fact']").forEach(closer);
  number();
  targets();
}());
