// The portal's own addresses, asked from its pages.
export const prefix = document.body.dataset.prefix;
// Shows that a request is this page's: a script of another page of this host cannot read it.
const token = document.querySelector('meta[name="visa-page"]').content;

export class Problem extends Error {
  constructor(document, status) {
    super([document.detail, document.remedy].filter(Boolean).join(" ") || `The service answered ${status}.`);
    this.reason = document.reason;
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(prefix + path, {
      ...options,
      headers: { "X-Visa-Request": "1", "X-Visa-Page": token, ...options.headers },
      credentials: "same-origin",
    });
  } catch (error) {
    throw new Problem({ detail: "The service does not answer.", remedy: "Look at your network; try again soon." }, 0);
  }
  if (answer.status === 401) {
    location.reload(); // the login is over: the page leads to it
    throw new Problem({ detail: "Log in again." }, 401);
  }
  return answer;
}

export async function api(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await ask("api/v1/" + path, options);
  const content = answer.status === 204 ? null : await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(content ?? {}, answer.status);
  return content;
}

export async function piece(path) {
  const answer = await ask(path);
  if (!answer.ok) {
    const said = (answer.headers.get("Content-Type") ?? "").startsWith("text/plain") ? await answer.text() : "";
    throw new Problem({ detail: said || "This part of the page could not be brought up to date." }, answer.status);
  }
  return answer.text();
}

// Server-sent events by fetch, because an EventSource cannot send the page's token. Ends with the stream; `signal`
// ends it before. `on` gets the event's name and its data.
export async function stream(path, on, signal) {
  const answer = await ask(path, { signal });
  if (!answer.ok) {
    const document = await answer.json().catch(() => ({ detail: "This page cannot be kept up to date." }));
    throw new Problem(document, answer.status);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
      const field = Object.fromEntries(lines);
      on(field.event ?? "message", JSON.parse(field.data ?? "{}"));
    }
  }
}

export function tell(trouble, message) {
  trouble.textContent = message;
  trouble.hidden = !message;
  if (message) trouble.scrollIntoView({ block: "nearest" });
}
