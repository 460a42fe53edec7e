// ESLint's recommended rules for the page's own scripts: npm run lint --prefix tests/web
import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/vendor/**", "**/node_modules/**"] },
  js.configs.recommended,
  { files: ["**/web/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["**/web/sw.js"], languageOptions: { globals: globals.serviceworker } },
  { files: ["**/deploy/runtime/*.mjs"], languageOptions: { globals: globals.node } },
  { files: ["**/tests/web/**/*.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
