// Dialogs: native ones, which keep the focus inside, close with Esc, and give the focus back.

import { html, signal, useLayoutEffect, useRef, useState } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n.js";
import { asked } from "./key.js";

const question = signal(null);  // {title, text, action, resolve} while the reader is asked to confirm

/** Asks before something is done that can't be undone; resolves to whether to do it. */
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => { question.value = { title, text, action, resolve }; });
}

/** A modal dialog around its children. `onClose` is called however it is left. */
export function Dialog({ title, onClose, children }) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    dialog.querySelector("[autofocus]")?.focus();
    return () => dialog.close();  // gives the focus back
  }, []);
  const cancelled = (event) => { event.preventDefault(); onClose(); };
  return html`
    <dialog ref=${ref} aria-label=${title} onCancel=${cancelled}>
      <header>
        <h2>${title}</h2>
        <button type="button" class="quiet" aria-label=${t("close")} onClick=${onClose}><${Icon} name="close" /></button>
      </header>
      ${children}
    </dialog>`;
}

/** The dialogs that any part of the page may call for. */
export const Dialogs = () => html`
  ${question.value && html`<${Confirmation} ...${question.value} />`}
  ${asked.value && html`<${KeyDialog} ...${asked.value} />`}`;

function Confirmation({ title, text, action, resolve }) {
  const settle = (answer) => () => { question.value = null; resolve(answer); };
  return html`
    <${Dialog} title=${title} onClose=${settle(false)}>
      <p>${text}</p>
      <footer>
        <button type="button" autofocus onClick=${settle(false)}>${t("cancel")}</button>
        <button type="button" class="danger" onClick=${settle(true)}>${action}</button>
      </footer>
    <//>`;
}

function KeyDialog({ wrong, resolve }) {
  const [key, setKey] = useState("");
  const submit = (event) => { event.preventDefault(); resolve(key.trim()); };
  return html`
    <${Dialog} title=${t("key.title")} onClose=${() => resolve("")}>
      <form onSubmit=${submit}>
        <p>${t(wrong ? "key.wrong" : "key.text")}</p>
        <label>${t("key.label")}
          <input type="password" autocomplete="off" autofocus required value=${key}
            onInput=${(event) => setKey(event.target.value)} /></label>
        <footer><button class="primary">${t("key.use")}</button></footer>
      </form>
    <//>`;
}
