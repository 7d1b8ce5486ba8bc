// Something that a part of the page shows, fetched when it appears.

import { get } from "./api.js";
import { onReturn } from "./connection.js";
import { useEffect, useState } from "./html.js";

/** {content, error, reload} of an address; the content stays while it is fetched anew. */
export function useFetched(path) {
  const [state, setState] = useState({ content: null, error: null });
  const reload = () => get(path).then(
    (content) => setState({ content, error: null }),
    (error) => setState(({ content }) => ({ content, error })),
  );
  useEffect(() => {
    reload();
    return onReturn(reload);
  }, [path]);
  return { ...state, reload };
}
