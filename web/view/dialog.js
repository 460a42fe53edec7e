// The settings as people change them.

import { byId, element } from "../lib/dom.js";
import { keyFor, parseApi, remember, remembered, setKey, useApi } from "../lib/settings.js";
import { LANGUAGES, text } from "../lib/text.js";

/** Prepares the dialog; returns the function that opens it. `onSave` is called after the settings have changed. */
export function settingsDialog(settings, onSave) {
  const [dialog, api, key, wrong] = ["settings", "settings-api", "settings-key", "settings-api-wrong"].map(byId);
  let keyEdited = false;

  const languages = [["", text("language.system")], ...Object.entries(LANGUAGES)];
  byId("settings-language").replaceChildren(...languages.map(([value, name]) => element("option", { value, lang: value }, name)));

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
    if (takeLook()) return location.reload();
    onSave();
  });

  return () => {
    api.value = settings.api === settings.published ? "" : settings.api;
    api.placeholder = settings.published;
    wrong.textContent = "";
    key.value = keyFor(settings.api);
    keyEdited = false;
    byId("settings-theme").value = remembered("theme") ?? "system";
    byId("settings-language").value = remembered("language") ?? "";
    dialog.showModal();
  };
}

/** Takes the colours and the language; true when the page has to be loaded again to speak it. */
function takeLook() {
  const theme = byId("settings-theme").value;
  remember("theme", theme === "system" ? null : theme);
  document.documentElement.dataset.theme = theme;
  const language = byId("settings-language").value || null;
  const changed = language !== remembered("language");
  remember("language", language);
  return changed;
}
