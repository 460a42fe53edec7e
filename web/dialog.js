// The settings as people change them.

import { byId } from "./dom.js";
import { keyFor, parseApi, setKey, useApi } from "./settings.js";
import { text } from "./strings.js";

/** Prepares the dialog; returns the function that opens it. `onSave` is called after the settings have changed. */
export function settingsDialog(settings, onSave) {
  const [dialog, api, key, wrong] = ["settings", "settings-api", "settings-key", "settings-api-wrong"].map(byId);
  let keyEdited = false;

  key.addEventListener("input", () => (keyEdited = true));
  // A key belongs to its API: with another address the field shows that one's, or none.
  api.addEventListener("input", () => {
    if (!keyEdited) key.value = keyFor(parseApi(api.value) ?? settings.published);
  });
  byId("settings-cancel").addEventListener("click", () => dialog.close());
  byId("settings-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (api.value.trim() && !parseApi(api.value)) {
      wrong.textContent = text("settings.api.wrong");
      api.focus();
      return;
    }
    useApi(settings, api.value);
    setKey(settings.api, key.value.trim());
    dialog.close();
    onSave();
  });

  return () => {
    api.value = settings.api === settings.published ? "" : settings.api;
    api.placeholder = settings.published;
    wrong.textContent = "";
    key.value = keyFor(settings.api);
    keyEdited = false;
    dialog.showModal();
  };
}
