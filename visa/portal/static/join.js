// An invitation is used by this button alone: who only looks at the link (a mail scanner, a preview) does not use it up.
import { api, prefix, tell } from "./api.js";

const page = document.getElementById("join");
const accept = document.getElementById("accept");
accept.addEventListener("click", async () => {
  accept.disabled = true;
  tell(document.getElementById("trouble"), "");
  try {
    const joined = await api("POST", "invitations/redeem", { token: page.dataset.token });
    location.replace(`${prefix}instances/${joined.instance}`);
  } catch (problem) {
    tell(document.getElementById("trouble"), problem.message);
    accept.disabled = false;
  }
});
