// The portal's own addresses, asked from its pages.
export const prefix = document.body.dataset.prefix;

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
      headers: { "X-Visa-Request": "1", ...options.headers },
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
  if (!answer.ok) throw new Problem({ detail: "This part of the page could not be brought up to date." }, answer.status);
  return answer.text();
}

export function tell(trouble, message) {
  trouble.textContent = message;
  trouble.hidden = !message;
  if (message) trouble.scrollIntoView({ block: "nearest" });
}
