// Dead letters: documents that were given up, and queueing them again.

import { get, post } from "./api.js";
import { useFetched } from "./fetched.js";
import { html, useState } from "./html.js";
import { ago, moment, t } from "./i18n.js";
import { Trouble } from "./trouble.js";

const PATH = "/v1/admin/dead-letters?page_size=50";

export function Letters() {
  const { content, error, reload } = useFetched(PATH);
  const [further, setFurther] = useState([]);  // pages after the first
  const [told, setTold] = useState("");
  const [refused, setRefused] = useState(null);
  const pages = content ? [content, ...further] : [];
  const letters = pages.flatMap((page) => page.dead_letters);
  const token = pages.at(-1)?.next_page_token;
  const more = () => get(`${PATH}&page_token=${encodeURIComponent(token)}`)
    .then((page) => setFurther([...further, page]), setRefused);
  const replay = async (ids) => {
    setRefused(null);
    try {
      const { replayed } = await post("/v1/admin/dead-letters/replay", { document_ids: ids });
      setTold(t("letters.replayed", { n: replayed }));
      setFurther([]);
      await reload();
    } catch (failed) {
      setRefused(failed);
    }
  };
  return html`
    <section class="card" aria-labelledby="letters">
      <header class="bar">
        <h2 id="letters">${t("letters")}</h2><span class="hint" role="status">${told}</span>
        <span class="space"></span>
        <button type="button" disabled=${!letters.length} onClick=${() => replay([])}>${t("letters.all")}</button>
      </header>
      <${Trouble} error=${error} retry=${reload} /><${Trouble} error=${refused} />
      ${content && !letters.length && html`<p class="empty">${t("letters.none")}</p>`}
      <ul class="rows" aria-label=${t("letters")}>
        ${letters.map((letter) => html`<${Letter} key=${letter.document_id} letter=${letter} replay=${replay} />`)}
      </ul>
      ${token && html`<button type="button" class="more" onClick=${more}>${t("more")}</button>`}
    </section>`;
}

const Letter = ({ letter: { document_id, document_name, collection, error, attempts, failed_at }, replay }) => html`
  <li class="row">
    <div class="about">
      <span class="name">${document_name || document_id}</span>
      <span class="hint">${[collection, t("attempts", { n: attempts }), failed_at && ago(failed_at)].filter(Boolean).join(" · ")}</span>
      <p class="reason" title=${failed_at && moment(failed_at)}>${error?.message}</p>
    </div>
    <div class="actions">
      <button type="button" aria-label=${t("letters.replay.name", { name: document_name || document_id })}
        onClick=${() => replay([document_id])}>${t("letters.replay")}</button>
    </div>
  </li>`;
