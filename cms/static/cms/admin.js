// The editor's forms: sort and add rows, preview pictures, and show only the fields that a choice has use for.
// Everything is delegated from the document, because rows of formsets are added and rewritten later.
"use strict";
{
  const shown = (element, yes) => { if (element) element.hidden = !yes; };

  function addRow(rows) {
    const list = rows.querySelector(".rows__list");
    const fresh = rows.querySelector("template").content.firstElementChild.cloneNode(true);
    const index = `new${list.children.length}`;
    for (const one of fresh.querySelectorAll("[id]")) one.id = one.id.replace("__prefix__", index);
    list.append(fresh);
    enhance(fresh);
    fresh.querySelector("input, select, textarea")?.focus();
  }

  function enhance(root) {
    const jquery = window.django?.jQuery;
    if (jquery?.fn.djangoAdminSelect2) jquery(root).find(".admin-autocomplete").not("[name*=__prefix__]").djangoAdminSelect2();
  }

  function moveRow(row, step) {
    const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (other) step < 0 ? other.before(row) : other.after(row);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-rows-add], [data-rows-move], [data-rows-remove]");
    if (!button) return;
    const row = button.closest(".rows__row");
    if ("rowsAdd" in button.dataset) addRow(button.closest("[data-rows]"));
    else if ("rowsRemove" in button.dataset) row.remove();
    else { moveRow(row, Number(button.dataset.rowsMove)); button.focus(); }
  });

  function preview(select) {
    const image = select.closest(".picture-select").querySelector("img");
    const address = select.selectedOptions[0]?.dataset.picture;
    shown(image, Boolean(address));
    if (address) image.src = address;
  }

  // A variant: the block, the changes, the rule and the dates are shown where its kind has use for them.
  const lineOf = (form, name) => form.querySelector(`.field-${name}`);

  function settleVariant(form) {
    const kind = form.querySelector("select[name$='-kind']")?.value;
    const box = form.querySelector("input[type=checkbox][name$='-is_default']");
    if (kind !== undefined) {
      shown(lineOf(form, "block"), kind === "replace");
      shown(lineOf(form, "overrides"), kind === "override");
    }
    if (!box) return;
    shown(lineOf(form, "rule"), !box.checked);
    for (const fold of form.querySelectorAll("details")) {
      if (fold.querySelector("[name$='-starts_at']")) shown(fold.closest("fieldset"), !box.checked);
    }
  }

  function settleMode(select) {
    shown(select.closest(".overrides__row")?.querySelector(".overrides__inputs"), select.value === "change");
  }

  function settleSegment() {
    const kind = document.querySelector("#segment_form select[name=kind]");
    if (!kind) return;
    shown(document.querySelector("#segment_form .field-rule"), kind.value === "rule");
    shown(document.querySelector("#segment_form .field-purposes"), kind.value === "list");
  }

  // A field of a block type: its attributes are shown for the kinds that have use for them (as the server keeps them).
  const USES = { multiline: ["text"], options: ["choice"], of: ["list"], types: ["block", "list"], min: ["number", "list"], max: ["number", "list"] };

  function settleFields() {
    for (const kind of document.querySelectorAll("[data-schemapath$='.kind']")) {
      const value = kind.querySelector("select")?.value;
      const path = kind.dataset.schemapath.replace(/kind$/, "");
      for (const [name, kinds] of Object.entries(USES)) {
        const holder = document.querySelector(`[data-schemapath="${path}${name}"]`);
        if (holder) holder.style.display = kinds.includes(value) ? "" : "none";
      }
    }
  }

  function settle() {
    for (const form of document.querySelectorAll(".form-row")) settleVariant(form);
    for (const select of document.querySelectorAll("[data-override-mode]")) settleMode(select);
    settleSegment();
    settleFields();
  }

  document.addEventListener("change", (event) => {
    const target = event.target;
    if (target.closest(".picture-select") && target.matches("select")) preview(target);
    if (target.matches("[data-override-mode]")) settleMode(target);
    if (target.matches("[name$='-kind'], [name$='-is_default']")) settle();
    if (target.matches("#segment_form select[name=kind]")) settleSegment();
  });
  // The form editor draws its fields after a click or a change of its own.
  for (const name of ["click", "change"]) {
    document.addEventListener(name, (event) => {
      if (event.target.closest(".django_json_schema_editor")) setTimeout(settleFields, 20);
    }, true); // before the editor draws the target anew
  }
  window.addEventListener("load", () => setTimeout(settleFields));
  // A new row is opened; a new placement begins with its default.
  function begin(row) {
    const fields = row.querySelector(":scope > .form-row [x-show='openRow']");
    if (fields && !fields.checkVisibility()) row.querySelector(":scope > .form-row h3 strong")?.click();
    const add = row.querySelector(":scope > .form-nested .add-row");
    if (!add || row.querySelector(":scope > .form-nested .form-group:not(.empty-form)")) return;
    add.click();
    const box = row.querySelector(":scope > .form-nested .form-group:not(.empty-form) input[name$='-is_default']");
    if (box) { box.checked = true; setTimeout(settle); }
  }

  document.addEventListener("formset:added", (event) => {
    settle();
    const row = event.target.closest(".form-group");
    if (row) setTimeout(() => begin(row), 50); // the admin's own script has to see the row first
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", settle);
  else settle();
}
